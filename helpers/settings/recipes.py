"""Recipes: named sets of settings, each in recipes/NAME.toml."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from helpers.settings.errors import ConfigError
from helpers.settings.loading import read_file
from helpers.settings.names import no_such

FOLDER = Path(__file__).resolve().parents[2] / "recipes"


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def read_recipe(name: str, known: Collection[str]) -> dict[str, Any]:
    """Return the settings of a recipe; none for an empty name.

    Args:
        name: of the recipe.
        known: names of all settings.

    Raises:
        ConfigError: there is no such recipe, or its file is damaged.
    """
    if not name:
        return {}
    if name not in recipe_names():
        raise ConfigError(f"RECIPE: {no_such('recipe', name, recipe_names(), '--help')}")
    return read_file(FOLDER / f"{name}.toml", known)
