"""The table of structures with a picture of each, made when the manual is built."""

from pathlib import Path

from hoomd_gala.crystals import unit_cell
from hoomd_gala.files.models import read_info
from hoomd_gala.names import STRUCTURES
from hoomd_gala.plotting.plots import new_figure
from hoomd_gala.plotting.structures import draw_structure
from hoomd_gala.results import DISORDERED

#: Inches of a picture, and pixels an inch: twice the pixels that are shown.
_SIZE, _DPI = 1.3, 170


def write_table(folder: Path) -> None:
    """Write ``structures.md`` and the pictures that it shows; pictures that exist stay."""
    pictures = folder / "structures"
    pictures.mkdir(parents=True, exist_ok=True)
    lines = [
        "| | structure | class | space group | neighbors | merged |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows().items():
        # names have characters that addresses cannot have
        picture = pictures / f"{''.join(c if c.isalnum() else '-' for c in name)}.png"
        _draw(picture, name)
        path = picture.relative_to(folder.parent)
        lines.append(f"| ![unit cell of {STRUCTURES[name].name}]({path}) {row}")
    (folder / "structures.md").write_text("\n".join(lines) + "\n")


def write_compounds(folder: Path) -> None:
    """Write ``compounds.md``: a row for each structure that ``compounds`` names."""
    info = read_info("compounds")
    merged = info.card["merged"]
    lines = ["| structure | class | space group | merged |", "| --- | --- | --- | --- |"]
    for name in sorted(info.given_names, key=_by_size):
        if name != DISORDERED:
            known = STRUCTURES.get(name)
            called = "" if known is None else f"**{known.name}**"
            others = ", ".join(f"`{one}`" for one in merged.get(name, ()) if one != name)
            lines.append(f"| {called} | `{name}` | {unit_cell(name).space_group} | {others} |")
    (folder / "compounds.md").write_text("\n".join(lines) + "\n")


def _by_size(name: str) -> tuple[int, str]:
    """Order of the structures: those that people have a name for, then from small to large."""
    known = name in STRUCTURES
    size = 0 if name == DISORDERED else len(unit_cell(name).system.positions)
    return (0 if known else 1000) + size, name


def rows(model: str = "structures") -> dict[str, str]:
    """Row of the table for each structure that a model names, but for the picture."""
    info = read_info(model)
    merged = info.card["merged"]
    return {
        name: _row(name, [one for one in merged.get(name, ()) if one != name])
        for name in info.given_names
        if name != DISORDERED
    }


def _row(name: str, merged: list[str]) -> str:
    known = STRUCTURES[name]
    others = (known.strukturbericht.replace("_", ""), *known.others)
    cells = (
        ", ".join((f"**{known.name}**", *(one for one in others if one not in ("", known.name)))),
        f"`{name}`",
        str(known.space_group),
        ", ".join(map(str, known.coordination)),
        ", ".join(f"`{one}`" for one in merged),
    )
    return f"| {' | '.join(cells)} |"


def _draw(path: Path, name: str) -> None:
    if path.is_file():
        return
    figure = new_figure(figsize=(_SIZE, _SIZE))
    figure.set_layout_engine("none")  # the picture fills the figure
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    draw_structure(axis, name)
    figure.savefig(path, dpi=_DPI, transparent=True)
