"""Weights & Biases: what recipes are compared in. It mirrors the run folder and never holds text."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from train.errors import Failure, InputError, Problem
from train.spec import Spec


class Tracking(Spec):
    """None of this changes a run's identity."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online when a key is configured, else offline. The WANDB_MODE variable overrides auto."""
    project: str = "teensafe"
    entity: str | None = None
    group: str | None = None
    """Runs to be compared share a group; default: the recipe's name."""
    artifacts: Literal["best-and-last", "best", "none"] = "best-and-last"
    """Checkpoints that go to W&B; adapters and head, never trainer state or text."""


def mode(tracking: Tracking) -> str:
    """The W&B mode to open a run in."""
    if tracking.wandb != "auto":
        return tracking.wandb
    if asked := os.environ.get("WANDB_MODE"):
        if asked not in ("online", "offline", "disabled"):
            raise InputError(
                Problem(
                    "WANDB_MODE", repr(asked), "online, offline or disabled", "unset it, or set track.wandb"
                )
            )
        return asked
    import wandb

    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def _settings() -> Any:
    """W&B's own, but that it asks neither the command line, which may name where data lie, nor the machine.

    x_disable_meta leaves out arguments, program, folder and user, and keeps the measurements of the system,
    GPUs among them, which x_disable_machine_info would end (wandb 0.31, core/internal/monitor). Host, program
    and git are told apart from these. What is printed names paths, too.
    """
    import wandb

    return wandb.Settings(
        silent=True,
        x_disable_meta=True,
        disable_git=True,
        save_code=False,
        host="",
        program="teensafe",
        console="off",
    )


class WandbLog:
    """One W&B run. A run cannot rewrite its past, so a resumed training opens a new one in the same group."""

    def __init__(
        self,
        tracking: Tracking,
        folder: Path,
        name: str,
        config: Mapping[str, Any],
        tags: Sequence[str] = (),
        job_type: Literal["train", "evaluate", "compare", "export", "curate"] = "train",
    ) -> None:
        self._tracking, self._run, self.offline = tracking, None, False
        chosen = mode(tracking)
        if chosen == "disabled":
            return
        # offline artifacts are recorded by absolute path: keep their staging inside the run folder
        os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb"))
        import wandb

        self._run = wandb.init(
            project=tracking.project,
            entity=tracking.entity,
            group=tracking.group or str(config["name"]),
            job_type=job_type,
            name=name,
            config=dict(config),
            tags=list(tags),
            dir=str(folder),
            mode=chosen,  # type: ignore[arg-type]
            settings=_settings(),
        )
        self.offline = self._run.offline
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, metrics: Mapping[str, Any]) -> None:
        """One record with its own `step`: W&B drops a `step=` argument that does not grow."""
        if self._run is not None:
            self._run.log({key: value for key, value in metrics.items() if value is not None})

    def summarise(self, figures: Mapping[str, Any]) -> None:
        if self._run is not None:
            self._run.summary.update({key: value for key, value in figures.items() if value is not None})

    def recipe(self, name: str, files: Mapping[str, str]) -> None:
        """The resolved recipe and its lock: their texts by file name."""
        if self._run is None:
            return
        import wandb

        artifact = wandb.Artifact(f"{name}-recipe", type="recipe")
        for file, text in files.items():
            _add_text(artifact, file, text)
        self._run.log_artifact(artifact)

    def data(self, name: str, sources: Mapping[str, Mapping[str, Any]]) -> None:
        """What the run learns from, as references that name each source's content by its `sha256`.

        Neither content nor path goes along: equal content is the same version, wherever the file lies. Online
        it is the run's input; an offline run cannot say so (`use_artifact` raises) and logs it.
        """
        if self._run is None:
            return
        import wandb
        from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

        artifact = wandb.Artifact(f"{name}-data", type="dataset", metadata=dict(sources))
        for source, about in sources.items():
            # not add_reference: it warns at each run that it cannot read what a sha256 names
            named = f"sha256:{about['sha256']}"
            artifact.manifest.add_entry(ArtifactManifestEntry(path=source, ref=named, digest=named))
        if self._run.offline:
            self._run.log_artifact(artifact)
        else:
            self._run.use_artifact(artifact)

    def delivery(
        self,
        name: str,
        version: str,
        files: Mapping[str, str],
        texts: Mapping[str, str],
        about: Mapping[str, Any],
    ) -> None:
        """What this run delivers: rows as references `sha256:...` (files: path -> sha256), manifest and
        card as they are (texts: by file name). No row goes along."""
        if self._run is None:
            return
        import wandb
        from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

        artifact = wandb.Artifact(name, type="dataset", metadata=dict(about))
        for path, digest in sorted(files.items()):
            named = f"sha256:{digest}"
            artifact.manifest.add_entry(ArtifactManifestEntry(path=path, ref=named, digest=named))
        for file, text in texts.items():
            _add_text(artifact, file, text)
        self._run.log_artifact(artifact, aliases=[f"v{version}"])

    def tables(self, step: int, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Tables of flat records, all of one kind with the same keys; `precision_recall` as a line chart."""
        if self._run is None:
            return
        import wandb

        found: dict[str, Any] = {}
        for name, rows in records.items():
            if rows:
                columns = list(rows[0])
                found[f"table/{name}"] = wandb.Table(columns, [[row[c] for c in columns] for row in rows])
        if (curves := found.get("table/precision_recall")) is not None:
            title = "Precision and recall of the selected checkpoint"
            found["table/precision_recall"] = wandb.plot.line(
                curves, "recall", "precision", stroke="curve", title=title
            )
        self.log({"step": step, **found})

    def bars(self, name: str, rows: Sequence[Mapping[str, Any]], label: str, value: str, title: str) -> None:
        """A bar a row: the column `label` names it, `value` is its length."""
        if self._run is None or not rows:
            return
        import wandb

        table = wandb.Table([label, value], [[row[label], row[value]] for row in rows])
        self._run.log({name: wandb.plot.bar(table, label, value, title=title)})

    @property
    def place(self) -> tuple[str, str] | None:
        """(entity, project) of a run that W&B has; None offline."""
        if self._run is None or self._run.offline:
            return None
        return str(self._run.entity), str(self._run.project)

    def checkpoints(
        self, root: Path, name: str, leave_out: str, restate: Callable[[Path], Mapping[str, str]]
    ) -> None:
        """Log `best` and, if asked, `last` as model artifacts, without the resume-only file.

        restate: a checkpoint -> the texts that go in place of some of its files, by name.
        """
        if self._run is None or self._tracking.artifacts == "none":
            return
        import wandb

        links = ("best",) if self._tracking.artifacts == "best" else ("best", "last")
        aliases: dict[Path, list[str]] = {}
        for link in links:
            aliases.setdefault((root / link).resolve(), []).append(link)
        for folder, alias in aliases.items():
            artifact = wandb.Artifact(
                f"{name}-classifier", type="model", metadata={"checkpoint": folder.name}
            )
            texts = restate(folder)
            for file in sorted(folder.iterdir()):
                if file.name in texts:
                    _add_text(artifact, file.name, texts[file.name])
                elif file.name != leave_out:
                    artifact.add_file(str(file), name=file.name)
            self._run.log_artifact(artifact, aliases=alias)

    def bundle(
        self,
        folder: Path,
        name: str,
        about: Mapping[str, Any],
        uses: Sequence[str],
        registry: str,
        aliases: Sequence[str],
    ) -> None:
        """Log a bundle as what this run makes of the artifacts it `uses`, and link it to the registry. Equal
        content is the same version, however often it is logged. Online only.

        Raises Failure where W&B does not know what it was made from.
        """
        if self._run is None or self._run.offline:
            return
        import wandb

        for used in uses:
            try:
                self._run.use_artifact(used)
            except (wandb.errors.CommError, ValueError) as error:
                what = f"W&B has no artifact {used} ({type(error).__name__})"
                remedy = "wandb sync RUN/wandb/offline-run-*, then the same command again"
                raise Failure(Problem(str(folder), what, "the training's artifacts", remedy)) from error
        artifact = wandb.Artifact(name, type="model", metadata=dict(about))
        artifact.add_dir(str(folder))
        logged = self._run.log_artifact(artifact, aliases=list(aliases))
        self._run.link_artifact(logged.wait(), registry, aliases=list(aliases))

    def finish(self, exit_code: int = 0) -> None:
        if self._run is not None:
            self._run.finish(exit_code=exit_code)
            self._run = None


def _add_text(artifact: Any, name: str, text: str) -> None:
    with artifact.new_file(name, mode="w", encoding="utf-8") as stream:
        stream.write(text)
