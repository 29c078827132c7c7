"""Parts of the engine `vllm`: the wire, who asks whom, how weights travel, and whether they arrived."""
