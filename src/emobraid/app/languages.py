"""Which language somebody asks for."""

import re


def first_language(header: str) -> str:
    """The first tag of an Accept-Language header ("en-GB" of "en-GB,en;q=0.8"), which is the one that browsers like
    best; empty for anything else."""
    found = re.match(r"[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-[a-zA-Z]{2})?(?=[,;\s]|$)", header.strip())
    return found[0] if found else ""
