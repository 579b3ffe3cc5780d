"""Where things lie in the repository and beside it. Owns names only; nothing here touches the disk."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

VENV = ROOT / ".venv"
EMULATOR_VENV = ROOT / ".venv-emulator"
LINT_VENV = ROOT / ".venv-lint"
CACHE = ROOT / ".build"
"""What can be built again from the repository alone and is shared by all data directories."""

DEFAULT_DATA = ROOT / ".pitrix"
DEFAULT_PORT = 4590

TEMPLATE = ROOT / "template.yaml"
REQUIREMENTS_PLATFORM = ROOT / "infra/local/requirements.txt"
REQUIREMENTS_EMULATOR = ROOT / "infra/local/requirements-emulator.txt"
REQUIREMENTS_LINT = ROOT / "infra/local/requirements-lint.txt"
REQUIREMENTS_TEST = ROOT / "requirements.txt"
CORE_PROJECT = ROOT / "layers/core"


def venv_python(venv: Path) -> Path:
    """The interpreter inside a virtual environment."""
    return venv / "bin" / "python"
