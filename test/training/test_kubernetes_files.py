"""Files into and out of a sandbox on an API server of our own."""

from __future__ import annotations

import ssl
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster_sandboxes import IMAGE, VARIABLES, Make, do, maker, only, started, tree
from fake_cluster import RUNNING, FakeCluster
from swe_rl_training.kubernetes_sandbox.settings import KubernetesSettings

pytest_plugins = ("cluster_fixtures",)
pytestmark = pytest.mark.usefixtures("private_network")


class TestFiles:
    @pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
    def test_directories_arrive_as_they_are(
        self, make: Make, cluster: FakeCluster, files: Path, tmp_path: Path, protocol: str
    ) -> None:
        cluster.protocols = (protocol,)

        async def work() -> None:
            environment = await started(make)
            await environment.upload_dir(files, f"{cluster.root}/new/place")
            await environment.download_dir(f"{cluster.root}/new/place", tmp_path / "back")

        do(work())
        assert tree(cluster.root / "new/place") == tree(files) == tree(tmp_path / "back")

    def test_files_arrive_as_they_are(
        self, make: Make, cluster: FakeCluster, files: Path, tmp_path: Path
    ) -> None:
        root = cluster.root
        cluster.path = only(tmp_path / "bin", sh="dash")
        (root / "there").mkdir()

        async def work() -> None:
            environment = await started(make)
            await environment.upload_file(files / "run me.sh", f"{root}/a/b c")
            await environment.upload_file(files / "ünï", f"{root}/there")
            await environment.upload_file(files / "deep/er/binary", f"{root}/slash/")
            await environment.download_file(f"{root}/slash/binary", tmp_path / "x/back")
            await environment.download_file(f"{root}/there/ünï", tmp_path / "x")

        do(work())
        assert tree(root / "a") == {"b c": tree(files)["run me.sh"]}
        assert (root / "there/ünï").read_bytes() == b""
        same = (files / "deep/er/binary").read_bytes()
        assert same == (root / "slash/binary").read_bytes() == (tmp_path / "x/back").read_bytes()
        assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["back", "ünï"]

    def test_are_sent_again_when_the_connection_breaks(
        self, make: Make, cluster: FakeCluster, files: Path, tmp_path: Path
    ) -> None:
        async def work() -> None:
            environment = await started(make)
            cluster.cut_after = 100_000
            await environment.download_file(str(files / "deep/er/binary"), tmp_path / "back")
            cluster.cut_after = 100_000
            await environment.download_dir(str(files), tmp_path / "all")

        do(work())
        assert (tmp_path / "back").read_bytes() == (files / "deep/er/binary").read_bytes()
        assert tree(tmp_path / "all") == tree(files)

    def test_from_a_sandbox_stay_where_they_belong(
        self,
        make: Make,
        cluster: FakeCluster,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        evil = tmp_path / "evil.tar"
        with tarfile.open(evil, "w") as content:
            for name in ("../above", "/tmp/absolute-of-a-test", "fine"):
                content.addfile(tarfile.TarInfo(name))
            link = tarfile.TarInfo("out")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            content.addfile(link)
            pipe = tarfile.TarInfo("pipe")
            pipe.type = tarfile.FIFOTYPE
            content.addfile(pipe)
        programs = tmp_path / "bin"
        cluster.path = only(programs, sh="dash")
        (programs / "tar").write_text(f"#!/bin/sh\nexec cat {evil}\n")
        (programs / "tar").chmod(0o755)

        async def work() -> None:
            environment = await started(make)
            await environment.download_dir(str(cluster.root), tmp_path / "to/back")

        do(work())
        # The data filter strips the slash of an absolute path, and refuses all that leads out.
        assert set(tree(tmp_path / "to")) == {
            "back",
            "back/fine",
            "back/tmp",
            "back/tmp/absolute-of-a-test",
        }
        assert "left out" in caplog.text

    def test_of_a_sandbox_do_not_fill_the_trainers_disk(
        self, make: Make, settings: KubernetesSettings, cluster: FakeCluster, tmp_path: Path
    ) -> None:
        with (cluster.root / "sparse").open("wb") as file:
            file.truncate(2**40)

        async def work() -> None:
            environment = await started(make, settings=replace(settings, download_mb=2))
            for name, load in (
                ("sparse", environment.download_file),
                ("", environment.download_dir),
            ):
                with pytest.raises(RuntimeError, match="larger than 2 MiB"):
                    await load(f"{cluster.root}/{name}", tmp_path / "back")

        do(work())
        assert not (tmp_path / "back").exists()

    def test_need_tar_only_in_directories(
        self, make: Make, cluster: FakeCluster, files: Path, tmp_path: Path
    ) -> None:
        cluster.path = only(tmp_path / "bin", sh="dash")

        async def work() -> None:
            environment = await started(make)
            with pytest.raises(RuntimeError, match="there is no tar in this image"):
                await environment.upload_dir(files, f"{cluster.root}/new")
            with pytest.raises(RuntimeError, match=f"{IMAGE}.*there is no tar in this image"):
                await environment.download_dir(str(files), tmp_path / "back")

        do(work())

    def test_that_are_not_there_are_named(
        self, make: Make, cluster: FakeCluster, tmp_path: Path
    ) -> None:
        async def work() -> None:
            environment = await started(make)
            for load in (environment.download_file, environment.download_dir):
                with pytest.raises(RuntimeError, match="/not/there"):
                    await load("/not/there", tmp_path / "back")
            with pytest.raises(RuntimeError, match="is a directory"):
                await environment.download_file(str(cluster.root), tmp_path / "back")
            with pytest.raises(FileNotFoundError):
                await environment.upload_dir(tmp_path / "nothing", "/x")
            with pytest.raises(RuntimeError, match="could not be written"):
                await environment.upload_file(__file__, "/proc/1/new")

        do(work())
        assert not (tmp_path / "back").exists()

    def test_are_filtered_by_harbor(
        self, make: Make, files: Path, tmp_path: Path, cluster: FakeCluster
    ) -> None:
        async def work() -> None:
            environment = await started(make)
            await environment.download_dir_filtered(
                source_dir=str(files), target_dir=tmp_path / "some", include=["deep/*"]
            )
            await environment.download_dir_with_exclusions(
                source_dir=str(files), target_dir=tmp_path / "rest", exclude=["deep"]
            )
            assert await environment.is_dir(str(files))
            assert not await environment.is_file(str(files))

        do(work())
        assert "deep/er/binary" in tree(tmp_path / "some")
        assert "deep" not in tree(tmp_path / "rest")

    def test_and_commands_go_through_tls(self, files: Path, tmp_path: Path) -> None:
        certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
            + ["-subj", "/CN=fake", "-addext", "subjectAltName=IP:127.0.0.1"]
            + ["-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        root = tmp_path / "root"
        root.mkdir()
        with FakeCluster(root, statuses=[RUNNING]).running(tls) as cluster:
            config = cluster.kubeconfig(tmp_path / "kubeconfig", certificate)
            found = replace(
                KubernetesSettings.from_environment(VARIABLES),
                kubeconfig=str(config),
                startup_seconds=10,
                ping_seconds=0.1,
            )
            make = maker(cluster, found, tmp_path)

            async def work() -> Any:
                environment = await started(make)
                await environment.upload_dir(files, f"{root}/new")
                await environment.download_dir(f"{root}/new", tmp_path / "back")
                return await environment.exec("sleep 0.5; seq 200000; sleep 0.5")

            result = do(work())
            assert result.stdout == "".join(f"{number}\n" for number in range(1, 200001))
            assert cluster.pings > 0
        assert tree(root / "new") == tree(files) == tree(tmp_path / "back")
