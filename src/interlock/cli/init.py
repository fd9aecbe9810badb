"""`interlock init`: writes a first project; never overwrites anything."""

from interlock.cli import edge
from interlock.cli.init_files import FILES, NEXT
from interlock.cli.options import Json, Project, Yes, folder_of
from interlock.cli.output import asked_yes, emit, interactive
from interlock.model import UserError


def init(*, project: Project = None, yes: Yes = False, json: Json = False) -> int:
    """Write a first interlock.yaml that works, with two small agents that need no key.

    Files that are there already are kept as they are.
    """
    folder = folder_of(project)
    folder.mkdir(parents=True, exist_ok=True)
    others = sorted(path.name for path in folder.iterdir() if path.name not in {name.split("/")[0] for name in FILES})
    if others and not yes:
        shown = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
        if not interactive():
            raise UserError(f"{folder} is not empty ({shown})", hint="interlock init --yes")
        if not asked_yes(f"{folder} is not empty ({shown}). Write into it?"):
            emit({"written": [], "kept": []}, ["nothing was written"], as_json=json)
            return edge.FAILED
    written, kept = [], []
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(content)
        except FileExistsError:
            kept.append(name)
        else:
            written.append(name)
    lines = [f"wrote  {name}" for name in written] + [f"kept   {name}  (it was there)" for name in kept]
    lines += ["", "next:", *(f"  {command}" for command in NEXT)]
    emit({"folder": str(folder), "written": written, "kept": kept, "next": list(NEXT)}, lines, as_json=json)
    return edge.OK
