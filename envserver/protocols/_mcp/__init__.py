"""The Model Context Protocol: JSON-RPC, a world's tools, a server's own."""
