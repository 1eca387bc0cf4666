"""An AArch64 user space under qemu-user: Debian's Python, PyPI's wheels, and a plugin that counts instructions.

    python benchmarks/arm/userland.py

Everything lies in one folder, build/arm unless told otherwise; nothing is installed. It needs apt-get, dpkg-deb and a
C compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["FOLDER", "PROCESSORS", "Processor", "Userland"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "arm"
RELEASE = "bookworm"  # its QEMU has the plugin interface that instructions.c declares
EMULATOR = ("qemu-user", "libcapstone4", "liburing2")
PYTHON = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5",
    "libsqlite3-0", "libuuid1", "libcrypt1", "libpython3.11-stdlib", "libpython3.11-minimal", "python3.11-minimal",
)  # fmt: skip
WHEELS = (
    "numpy", "onnx", "onnx-ir", "onnxscript", "ml-dtypes", "onnxruntime", "pydantic", "pyyaml", "typer", "rich",
    "pillow", "jinja2", "pytest", "pytest-timeout", "pytest-xdist", "hypothesis",
)  # fmt: skip
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_17", "manylinux2014")
_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2 = f"{_ARMV8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Processor:
    """What QEMU emulates, by its name for it, and what Linux would tell of it."""

    emulated: str
    features: str
    part: str

    def cpuinfo(self, cores: int) -> str:
        """As in /proc/cpuinfo, of which qemu-user shows the host's otherwise."""
        told = {
            "BogoMIPS": "50.00",
            "Features": self.features,
            "CPU implementer": "0x41",
            "CPU architecture": "8",
            "CPU variant": "0x0",
            "CPU part": self.part,
            "CPU revision": "1",
        }
        lines = "".join(f"{key}\t: {value}\n" for key, value in told.items())
        return "".join(f"processor\t: {core}\n{lines}\n" for core in range(cores))


PROCESSORS = {
    "NEON": Processor("cortex-a72", _ARMV8, "0xd08"),
    "dot products": Processor("neoverse-n1", _ARMV8_2, "0xd0c"),
    "i8mm": Processor("max,sve=off,sme=off", f"{_ARMV8_2} i8mm bf16", "0xd47"),
}
"""By what they have for 8-bit products: nothing of their own, SDOT and UDOT, SMMLA as well."""


class Userland:
    """The user space of `folder`, in which it may have to be set up first."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder.resolve() / "userland"
        self._root, self._host = self.folder / "root", self.folder / "host"
        self._site, self._plugin = self._root / "site", self.folder / "instructions.so"

    @property
    def is_set_up(self) -> bool:
        return self._plugin.exists()

    def set_up(self) -> Self:
        """Itself; packages are downloaded unless it is set up already."""
        if not self.is_set_up:
            self._unpack()
            self._build()
        return self

    def command(
        self, processor: Processor, arguments: Sequence[str], counts: Path | None = None
    ) -> list[str]:
        """Python with `arguments`; the lines that the plugin writes go to `counts`."""
        paths = (self._site, ROOT / "src", ROOT, ROOT / "benchmarks")
        environment = {
            "PYTHONHOME": str(self._root / "usr"),
            "PYTHONPATH": ":".join(map(str, paths)),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
        }
        plugin = [] if counts is None else ["-plugin", f"{self._plugin},to={counts}"]
        settings = [word for key, value in environment.items() for word in ("-E", f"{key}={value}")]
        emulated = ["-L", str(self._root_of(processor)), "-cpu", processor.emulated, "-U", "LD_LIBRARY_PATH"]
        return [
            *(str(self._host / "usr/bin/qemu-aarch64"), *plugin, *emulated, *settings),
            *(str(self._root / "usr/bin/python3.11"), *arguments),
        ]

    def lines(
        self, processor: Processor, arguments: Sequence[str], counts: Path | None = None
    ) -> Iterator[str]:
        """What it prints, as it does; raises CalledProcessError where it fails."""
        command = self.command(processor, arguments, counts)
        with subprocess.Popen(
            command, env=self._environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            yield from process.stdout
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _root_of(self, processor: Processor) -> Path:
        """The root as this processor's programs see it."""
        root = self.folder / "processors" / processor.part
        if not root.exists():
            root.mkdir(parents=True)
            for name in ("etc", "lib", "usr"):
                (root / name).symlink_to(self._root / name)
            (root / "proc").mkdir()
            (root / "proc" / "cpuinfo").write_text(processor.cpuinfo(os.cpu_count() or 1))
        return root

    def emulator(self, processor: Processor) -> str:
        """Its version, and what it emulates."""
        command = [self._host / "usr/bin/qemu-aarch64", "--version"]
        told = subprocess.run(command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True)
        return f"{told.stdout.splitlines()[0]}, {processor.emulated}"

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"LD_LIBRARY_PATH": str(self._host / "usr/lib/x86_64-linux-gnu")}

    def _unpack(self) -> None:
        for architecture, packages, to in (("amd64", EMULATOR, self._host), ("arm64", PYTHON, self._root)):
            for package in self._debian(architecture, packages):
                to.mkdir(parents=True, exist_ok=True)
                subprocess.run(["dpkg-deb", "-x", package, to], check=True)
        for wheel in self._wheels():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self._site)

    def _debian(self, architecture: str, packages: Sequence[str]) -> list[Path]:
        """The packages' files, by an apt of its own, which leaves the system's alone."""
        apt, files = self.folder / "apt" / architecture, self.folder / "debian" / architecture
        for directory in (apt / "lists/partial", apt / "cache/archives/partial", files):
            directory.mkdir(parents=True, exist_ok=True)
        (apt / "status").touch()
        (apt / "sources.list").write_text(f"deb http://deb.debian.org/debian {RELEASE} main\n")
        options = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "Dir::State": apt,
            "Dir::State::status": apt / "status",
            "Dir::Cache": apt / "cache",
            "Dir::Etc::sourcelist": apt / "sources.list",
            "Dir::Etc::sourceparts": "-",
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        for words in (["update"], ["download", *packages]):
            subprocess.run(["apt-get", "-qq", *given, *words], check=True, cwd=files)
        return sorted(files.glob("*.deb"))

    def _wheels(self) -> list[Path]:
        files = self.folder / "wheels"
        platforms = [word for name in PLATFORMS for word in ("--platform", f"{name}_aarch64")]
        abis = [word for name in ("cp311", "abi3", "none") for word in ("--abi", name)]
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", files),
            *("--python-version", "3.11", "--implementation", "cp", *platforms, *abis),
            *("-c", ROOT / "constraints.txt", *WHEELS),
        ]
        subprocess.run(command, check=True)
        return sorted(files.glob("*.whl"))

    def _build(self) -> None:
        source = Path(__file__).with_name("instructions.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self._plugin, source], check=True)


if __name__ == "__main__":
    Userland().set_up()
