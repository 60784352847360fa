from __future__ import annotations

import json

from benchmarks.result_file import json_text


def test_results_are_json_with_plain_values_on_one_line() -> None:
    content = {
        "name": 'a {curious} [one], "quoted"',
        "rows": [{"a": 1, "b": [1.5, 2]}, {"a": None, "b": []}],
        "machine": {"cores": 2, "processor": "x, y"},
    }
    text = json_text(content)
    assert json.loads(text) == content
    assert '"machine": {"cores": 2, "processor": "x, y"}' in text
    assert '"b": [1.5, 2]' in text
