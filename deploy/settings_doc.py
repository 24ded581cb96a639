"""docs/SETTINGS.md made from the configuration model: `python -m deploy.settings_doc > docs/SETTINGS.md`."""

import json
from typing import Any

from pydantic import BaseModel

from deploy.config import Config


def _section_model(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model of a section, and whether the section may repeat."""
    inner = getattr(annotation, "__args__", None)
    if inner and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        return inner[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False


def _range(field: Any) -> str:
    bounds = {}
    for item in field.metadata:
        for name in ("ge", "le", "max_length", "min_length", "pattern"):
            if getattr(item, name, None) is not None:
                bounds[name] = getattr(item, name)
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(c, str) for c in choices):
        return ", ".join(f"`{c}`" for c in choices)
    if "ge" in bounds or "le" in bounds:
        return f"{bounds.get('ge', '')} to {bounds.get('le', '')}"
    if "pattern" in bounds:
        return f"`{bounds['pattern']}`".replace("|", "\\|")
    return f"at most {bounds['max_length']}" if "max_length" in bounds else ""


def _rows(model: type[BaseModel]) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        if _section_model(field.annotation)[0] is not None:
            continue
        default = "required" if field.is_required() else f"`{json.dumps(field.default, ensure_ascii=False)}`"
        rows.append(f"| `{field.alias or name}` | {default} | {_range(field)} | {field.description or ''} |")
    return rows


def _section(name: str, model: type[BaseModel], repeats: bool) -> list[str]:
    title = f"## `[[{name}]]` (may repeat)" if repeats else f"## `[{name}]`"
    summary = (model.__doc__ or "").strip().splitlines()[0]
    lines = [title, "", summary, "", "| Setting | Default | Valid | Meaning |", "|---|---|---|---|", *_rows(model), ""]
    for inner_name, field in model.model_fields.items():
        inner, inner_repeats = _section_model(field.annotation)
        if inner is not None:
            lines += _section(f"{name}.{inner_name}", inner, inner_repeats)
    return lines


def settings_document() -> str:
    """The whole page."""
    lines = [
        "# Settings",
        "",
        "One file, `phayan.toml`, in the data directory or given with `--config`. Every setting has a default; an",
        "unknown or wrong one stops the start with one sentence.",
        "",
    ]
    for name, field in Config.model_fields.items():
        model, repeats = _section_model(field.annotation)
        if model is not None:
            lines += _section(field.alias or name, model, repeats)
    return "\n".join(lines)


if __name__ == "__main__":
    print(settings_document(), end="")
