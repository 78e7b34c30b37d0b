"""A table as text: in the terminal, and as Markdown. The first column names the row, the others are right-aligned."""

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table

Cells = Sequence[str]


def drawn(columns: Cells, rows: Iterable[Cells], *, title: str = "") -> Table:
    """For a rich console; nothing in it is taken for markup."""
    table = Table(title=escape(title) or None, title_justify="left", title_style="bold", header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(escape(column), justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def markdown_table(columns: Cells, rows: Iterable[Cells]) -> str:
    """Lines without an end of line after the last."""
    rule = ("---", *["---:"] * (len(columns) - 1))
    lines = ([cell.replace("|", r"\|") for cell in row] for row in (columns, rule, *rows))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
