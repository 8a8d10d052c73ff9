"""Who made a bundle: an OpenSSF model signature (v1) over every file of it, by an EC key, without network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.bundle.manifest import SIGNATURE
from train.errors import InputError, Problem


def sign(folder: Path, key: Path) -> None:
    """Write model.sig. key: a PEM file with an EC private key that no password locks. Raises InputError."""
    signing = _module("signing")
    _readable(key, "--sign")
    signature = folder / SIGNATURE
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key)
        signer.set_hashing_config(_hashing(signature)).sign(folder, signature)
    except (ValueError, TypeError) as error:
        what = f"is no key to sign with ({type(error).__name__})"
        remedy = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
        raise InputError(
            Problem(str(key), what, "an EC private key in PEM, without a password", remedy)
        ) from error


def problem(folder: Path, key: Path) -> Problem | None:
    """What is wrong with a bundle's signature under a public key; None where it holds. Raises InputError for
    a key that is none."""
    verifying = _module("verifying")
    _readable(key, "--key")
    signature = folder / SIGNATURE
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (ValueError, TypeError) as error:
        what = f"is no public key ({type(error).__name__})"
        remedy = "openssl ec -in key.pem -pubout -out public.pem"
        raise InputError(Problem(str(key), what, "an EC public key in PEM", remedy)) from error
    if not signature.is_file():
        return Problem(
            SIGNATURE, "is missing: the bundle is not signed", "a signature by the key", "ask for it"
        )
    try:
        verifier.set_hashing_config(_hashing(signature)).verify(folder, signature)
    except Exception as error:  # the library raises what its parsers raise
        said = str(error).splitlines()[0] if isinstance(error, ValueError) else type(error).__name__
        what = f"does not hold under this key ({said[:120]})"
        return Problem(SIGNATURE, what, "a signature over these very files, by the key's owner")
    return None


def _hashing(signature: Path) -> Any:
    return _module("hashing").Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)


def _module(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{name}")
    except ImportError:
        raise InputError(
            Problem("model-signing", "is not installed", "the package", "pip install 'teensafe[export]'")
        ) from None


def _readable(key: Path, option: str) -> None:
    if not key.is_file():
        raise InputError(Problem(option, f"{key} is no file", "a PEM file"))
