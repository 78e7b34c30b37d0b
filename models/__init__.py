"""The model's parts under the names that the project's outline gives them; the code is in src/emobraid."""
