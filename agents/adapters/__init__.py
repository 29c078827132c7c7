"""Our worlds as the environments of other trainers, one trainer a file."""
