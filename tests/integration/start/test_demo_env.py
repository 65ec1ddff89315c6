"""Which of several servers of one data folder demo.env names."""

from __future__ import annotations

from pathlib import Path

from tests.commands import started
from tests.servers import free_port, running_server


def test_a_second_server_of_a_data_folder_leaves_demo_env_alone(
    database_url: str, with_redis: dict[str, str]
) -> None:
    with running_server(database_url, **with_redis) as first:
        demo_env = Path(first.data_dir) / "demo.env"
        before = demo_env.read_bytes()
        port = free_port()
        env = {
            "DATABASE_URL": database_url,
            "SITEBROOK_DATA_DIR": str(first.data_dir),
            "SITEBROOK_PORT": str(port),
            **with_redis,
        }
        with started("serve", **env) as second:
            assert second.stdout is not None
            said = b"".join(second.stdout.readline() for _ in range(7)).decode()
            second.terminate()
            assert second.wait(20) == 0
        assert f"http://127.0.0.1:{port}/demo" in said
        assert first.secret_key in said
        assert "demo.env stays as it is" in said
        assert demo_env.read_bytes() == before
