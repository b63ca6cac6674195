"""The blocks of the documents, and what runs them as a reader would."""
