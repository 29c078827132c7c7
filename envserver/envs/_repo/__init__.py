"""Parts of the environment repo: projects, defects, trees of files, tests in sandboxes, published instances."""
