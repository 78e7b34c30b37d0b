"""The licences of what emobraid installs, as a table: `make licences` writes it to docs/licences.md.

Read from what the packages say of themselves, in the environment that this runs in; nothing is fetched.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST = 60  # characters of a licence field that is a name and not the text itself
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|General Public|Mozilla|MPL)", re.IGNORECASE)
#: libraries inside wheels whose terms differ from the package's own
INSIDE = {
    "libx264": "GPL-2.0-or-later",
    "libx265": "GPL-2.0-or-later",
    "libsoxr": "LGPL-2.1-or-later",
    "libavcodec": "FFmpeg: LGPL-2.1-or-later, GPL where x264 is beside it",
    "libmp3lame": "LGPL-2.0-or-later",
    "libgnutls": "LGPL-2.1-or-later",
    "libgmp": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libnettle": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libunistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libquadmath": "LGPL-2.1-or-later",
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1",
}

HEAD = """# Licences of what is installed

Written by `make licences` from what the packages of requirements.txt say of themselves; not legal advice. emobraid's
own code is Apache-2.0, its shipped model CC BY-NC-SA 4.0 (src/emobraid/weights/TERMS.md).

**Who installs from requirements.txt** gets each package from its publisher, and nothing more has to be done.

**Who publishes an image** (the Dockerfile's, or any other copy with these packages inside) passes them on, and their
terms apply to that copy:

- `av` is BSD, but its wheel carries FFmpeg together with **libx264 and libx265, which are under the GPL** (version 2
  or later; version 3 in effect, as opencore-amr beside them is under Apache-2.0). The libraries in that wheel may be
  passed on only under the GPL's terms: with its text, the notices, and the complete source of exactly these builds of
  FFmpeg, x264 and x265, or a written offer of it. emobraid only decodes and uses neither of the two; who wants to
  publish without them builds PyAV from source (pip's option no-binary) against an FFmpeg without its GPL parts.
  Patents on H.264 and H.265 are another matter, and differ by country.
- `soxr` carries **libsoxr, which is under the LGPL** (version 2.1 or later): keep its notice and licence text, offer
  its source, and let people replace the library; as it is a module of its own that pip can replace, an image does.
- `opencv-python-headless` carries an FFmpeg without GPL parts (LGPL): as for soxr. The runtime libraries of GCC in
  numpy's neighbours (libgfortran, libgomp) come with an exception for whatever uses them; libquadmath is LGPL.
- Packages under the MPL: passed on unchanged they ask for their notice and a pointer to their source.
- The rest are permissive: keep their notices, which the image holds in each package's `*.dist-info` folder.

`COPYLEFT` marks those that ask for more than a notice.

| package | version | licence | |
|---|---|---|---|
"""


def licence_of(package: Distribution) -> str:
    """What a package says of itself, shortest form first."""
    about = package.metadata
    said = (about.get("License-Expression") or "").strip()
    if not said:
        named = [c.rsplit("::", 1)[1].strip() for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
        said = ", ".join(n for n in named if n != "OSI Approved")
    field = " ".join((about.get("License") or "").split())
    if not said and 0 < len(field) <= LONGEST:
        said = field
    return said or ("see its licence file" if field or package.files else "not said")


def inside(package: Distribution) -> list[str]:
    """Libraries in its wheel with terms of their own."""
    names = {Path(str(file)).name for file in package.files or []}
    found = {lib for lib in INSIDE if any(name.startswith(lib) for name in names)}
    found |= {"libsoxr"} if package.metadata["Name"] == "soxr" else set()  # linked into its module
    return [f"carries {lib} ({INSIDE[lib]})" for lib in sorted(found)]


def row(requirement: str) -> str:
    name, _, version = requirement.partition("==")
    try:
        package = distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed; run this where requirements.txt is")
    said, more = licence_of(package).replace("|", "/"), inside(package)
    mark = "COPYLEFT" if COPYLEFT.search(" ".join([said, *more])) else ""
    return f"| {name} | {version} | {said} | {'; '.join(filter(None, [mark, *more]))} |"


def main() -> None:
    wanted = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    rows = [row(one) for one in sorted(filter(None, wanted), key=str.lower)]
    (ROOT / "docs" / "licences.md").write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"docs/licences.md: {len(rows)} packages, {sum('COPYLEFT' in r for r in rows)} ask for more than a notice")


if __name__ == "__main__":
    main()
