"""The corpora, questions and retrievers behind `search`."""
