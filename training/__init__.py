"""Training under the names that the project's outline gives it; the code is in src/emobraid."""
