from __future__ import annotations

from pathlib import Path

from devices.target import Target
from lutier.settings import Settings
from lutier.storage import model_folder, models_folder

CPU = Target.parse("cpu/onnxruntime?threads=1")


def test_models_lie_beside_a_sqlite_file(tmp_path: Path) -> None:
    settings = Settings(db=f"sqlite:///{tmp_path / 'team.db'}")
    assert models_folder(settings) == tmp_path / "team-models"


def test_models_of_a_server_lie_in_home_apart_from_one_another(tmp_path: Path) -> None:
    folders = {
        models_folder(Settings(home=tmp_path, db=f"postgresql://host/{name}"))
        for name in ("one", "two")
    }
    assert len(folders) == 2
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


def test_no_two_targets_or_spaces_share_a_folder(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    spaces = ["mobile", "mobile?width=0.5", "mobile?width=0_5", "../mobile", "mobile/.."]
    targets = [CPU, Target.parse("cpu/torch?threads=1"), Target.parse("cpu/torch?threads=2")]
    folders = [model_folder(settings, target, space) for target in targets for space in spaces]
    assert len(set(folders)) == len(folders)
    root = models_folder(settings).resolve()
    assert all(folder.resolve().is_relative_to(root) for folder in folders)
