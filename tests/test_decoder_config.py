import pytest

from decoder.config import RestorerConfig
from stream.errors import ConfigError
from stream.frame import Size


def test_the_defaults_are_hd_by_whatever_model_and_backend_fit() -> None:
    config = RestorerConfig()
    assert (str(config.size), config.model, config.backend) == ("1280x720", "auto", "auto")
    assert config.lookahead is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": Size(width=63, height=48)},
        {"backend": "abacus"},
        {"lookahead": -1},
        {"threads": -1},
        {"model": ""},
    ],
)
def test_settings_that_can_never_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RestorerConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
