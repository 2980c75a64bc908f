"""The documentation site: the pages of docs/ and of the root, in English and in French."""
