# SPDX-License-Identifier: MIT
"""The modes of a heap plugin, read from its option table: one place for every test that runs programs in all of them."""

import json
import subprocess


def modes(heapctl, plugin):
    """One option string per word of each option of the plugin that is a choice of words, such as its modes."""
    command = [heapctl, "--plugin=" + plugin, "options", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return [
        f"{row['name']}={word}"
        for row in json.loads(told.stdout)["options"]
        if row["kind"] == "word"
        for word in row["range"].split("|")
    ]
