"""Extracts code samples from Markdown pages and from comments of headers.

The info string of a block says how it is tested:

| info string | test |
| --- | --- |
| `c`, `cpp` | compiled as a file; linked if it has a main() |
| `c fragment` | compiled as statements of a function that has a connection, a token, headers and an error, and a function fail(error) |
| `cpp fragment` | compiled as statements of a function that has a connection |
| `python`, `go`, `sh` | syntax check |
| `sh run` | run, all blocks of the page in one shell and in their order |
| `sh server` | started before the others, and stopped at the end; ready when it has printed `ready URL` |
| `text output` | the output of the `sh run` before it; `…` stands for any text |

`file=NAME` writes the block to a file before the shell runs. Other info strings, and none, are not code.
"""

import dataclasses
import pathlib
import re

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^[ \t]*(?:\*|///)(?!/) ?", re.MULTILINE)


@dataclasses.dataclass
class Sample:
    path: pathlib.Path
    line: int
    words: list
    text: str

    @property
    def language(self):
        return self.words[0] if self.words else ""

    @property
    def mode(self):
        """The second word of the info string, unless it is a file."""
        return next((word for word in self.words[1:] if "=" not in word), "")

    @property
    def file(self):
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)

    def __str__(self):
        return f"{self.path.name}:{self.line}"


def extract(path):
    """Returns the samples of a page or header in their order."""
    content = path.read_text()
    if path.suffix in (".h", ".hpp"):
        content = COMMENT.sub("", content)
    return [
        Sample(path, content.count("\n", 0, block.start()) + 1, block["info"].split(), block["text"])
        for block in FENCE.finditer(content)
    ]
