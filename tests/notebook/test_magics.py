"""The magics in a real kernel: cells are collected, checked, and sent to a process of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import nbclient
import pytest
from in_kernel import error, printed, run_cells, running_kernel, shown
from nbformat import NotebookNode

pytestmark = [
    pytest.mark.slow,
    # nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Run = Callable[..., list[NotebookNode]]


@pytest.fixture(scope="module")
def kernel() -> Iterator[nbclient.NotebookClient]:
    with running_kernel() as client:
        yield client


@pytest.fixture
def run(kernel: nbclient.NotebookClient, tmp_path: Path) -> Run:
    """Return what runs cells of a new notebook in its own folder, and returns them."""
    return partial(run_cells, kernel, tmp_path)


def jobs(folder: Path) -> list[Path]:
    return sorted((folder / "state" / "foveal" / "jobs").glob("*/job.json"))


DATA = "%%foveal_code data\nimport numpy as np\nnumbers = np.arange(5)"
TRAIN = """\
%%foveal_run --on local --name first --wait --into job --check
import os
from pathlib import Path
print("sum", numbers.sum())
Path(os.environ["FOVEAL_OUTPUT"], "sum.txt").write_text(f"<{numbers.sum()}>")"""


def test_collected_cells_run_as_one_job_that_shows_its_log_and_brings_its_files(
    run: Run, tmp_path: Path
) -> None:
    data, train, asked = run(
        DATA,
        TRAIN,
        "numbers[0], job.name, str(job.state), str(job.outputs), job.run, job.logs()",
        errors=False,
    )
    assert data.outputs == []
    # One card, which ends with the files; the value of the cell is the same job.
    assert [o.output_type for o in train.outputs] == ["display_data"]
    card = shown(train, "text/html")
    assert "succeeded" in card and "sum 10" in card and "sum.txt" in card
    assert "first on local: succeeded\nsum 10\nresults: jobs/first" in shown(train)
    assert shown(asked) == "(np.int64(0), 'first', 'succeeded', 'jobs/first', None, 'sum 10')"
    assert (tmp_path / "jobs" / "first" / "sum.txt").read_text() == "<10>"


def test_a_card_is_drawn_anew_until_the_job_ends(run: Run) -> None:
    sent, _ = run(
        "%%foveal_run --into job\nimport time\nprint('begun', flush=True)\ntime.sleep(2)",
        "job.wait()",
        errors=False,
    )
    assert "on local: succeeded\nbegun" in shown(sent)


def test_a_failing_cell_fails_its_outer_cell_and_is_not_sent_until_it_runs(
    run: Run, tmp_path: Path
) -> None:
    failing, sent, mended, again = run(
        "%%foveal_code data\nnumbers = 1 / 0",
        "%%foveal_run --wait\nprint(numbers)",
        "%%foveal_code data\nnumbers = [1]",
        "%%foveal_run --wait\nprint(numbers)",
    )
    assert [o.output_type for o in failing.outputs] == ["error", "error"]
    assert error(failing) == (
        "ZeroDivisionError\nZeroDivisionError: division by zero\n"
        "The cell data is not sent until it runs."
    )
    assert error(sent) == (
        "UsageError\nerror: Cell data failed when it last ran here, so it cannot be sent.\n"
        "hint: run it again, or leave it out: %foveal_cells --forget data"
    )
    assert mended.outputs == []
    assert "succeeded\n[1]" in shown(again)
    assert len(jobs(tmp_path)) == 1


def test_run_all_stops_at_a_failing_cell_and_at_a_failing_job(run: Run) -> None:
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        run("%%foveal_code\n1 / 0", errors=False)
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="on local failed"):
        run("%%foveal_run --wait\n1 / 0", errors=False)


def test_a_failed_job_says_why_and_shows_the_line_of_the_cell(run: Run) -> None:
    (failed,) = run("%%foveal_run --wait --name wrong\n\nraise ValueError('no good')")
    assert "has no results yet" not in shown(failed)
    assert f'In_{failed.execution_count}.py", line 3, in <module>' in shown(failed)
    lines = error(failed).splitlines()
    assert lines[0] == "JobFailed"
    assert lines[1].startswith("error: The job wrong on local failed: ")
    assert lines[1].endswith("ValueError: no good")
    assert lines[2] == "hint: !foveal jobs logs wrong"


def test_a_cell_that_runs_again_replaces_itself(run: Run) -> None:
    named = ["%%foveal_code a\nx = 1", "%%foveal_code b\ny = x", "%%foveal_code a\nx = 2"]
    with_ids = [
        f"get_ipython().run_cell('%%foveal_code\\nz = {value}', cell_id='own', store_history=True)"
        "\nNone"
        for value in (3, 4)
    ]
    *_, listed, sent = run(
        *named, *with_ids, "%foveal_cells", "%%foveal_run --wait\nprint(x, y, z)", errors=False
    )
    assert shown(listed, "text/html").count("<tr>") == 1 + 3
    assert "\n2 2 4" in shown(sent)


def test_without_a_name_and_an_id_a_cell_is_told_to_have_a_name(run: Run) -> None:
    cell, _, listed, cleared = run(
        "%%foveal_code\nx = 1", "%%foveal_code\nx = 1", "%foveal_cells", "%foveal_cells --all"
    )
    assert "%%foveal_code NAME" in printed(cell)
    assert shown(listed, "text/html").count("<tr>") == 1 + 1
    assert printed(cleared) == "0 cells are kept.\n"


REFUSED = {
    "%%foveal_run\nprint(numbers)": "line 2: 'numbers' is not defined in any cell",
    "%%foveal_run\n!ls": "line 2: !ls works in notebooks only",
    "%%foveal_run --on moon\n1": "Invalid target 'moon'",
    "%%foveal_run --on vertex\n1": "The target vertex needs a project",
    "%%foveal_run --name a/b\n1": "Invalid job name 'a/b'",
    "%%foveal_code --no-run\nx = (": "line 2: '(' was never closed",
    "%%foveal_code data\nx = !ls": "line 2: !ls works in notebooks only",
    "%foveal_init --requirements none.txt": "none.txt cannot be read: No such file or directory.",
    "%foveal_init --package=-r": "--package: expected a package",
    "%foveal_init --package 'timm and more'": "--package: expected a package",
    "%foveal_init --on 'local": "No closing quotation: --on 'local",
    "%foveal_init --packages timm": "unrecognized arguments",
}


def test_what_cannot_work_is_refused_before_anything_is_sent(run: Run, tmp_path: Path) -> None:
    cells = run(*REFUSED)
    for cell, message in zip(cells, REFUSED.values(), strict=True):
        text = printed(cell) if cell.outputs[-1].output_type == "stream" else error(cell)
        assert message in text
        assert "Traceback" not in text
    assert jobs(tmp_path) == []


def test_options_of_machines_elsewhere_are_said_to_have_no_effect_here(run: Run) -> None:
    here, cloud, plain = run(
        "%foveal_init --machine n1-standard-8 --spot",
        "%foveal_init --project my-project --bucket b --machine n1-standard-8",
        "%foveal_init",
        errors=False,
    )
    assert printed(here).startswith("Jobs go to local. --machine, --spot: without effect there")
    assert printed(cloud) == "Jobs go to vertex:my-project/us-central1.\n"
    assert printed(plain) == "Jobs go to local.\n"


def test_a_terminal_shows_the_collected_cells_as_text(run: Run) -> None:
    _, listed = run("%%foveal_code one\nx = 1\ny = 2", "%foveal_cells", errors=False)
    assert re.search(r"^cell +lines\none +\d", shown(listed))


def test_a_check_that_fails_sends_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1")
    _, refused = run(
        "%%foveal_code data\ntable = open('table.csv').read()",
        "%%foveal_run --check\nprint(table)",
    )
    assert "The cells fail when they are run in a new process" in error(refused)
    assert "No such file or directory: 'table.csv'" in error(refused)
    assert jobs(tmp_path) == []


def test_values_may_be_quoted_and_a_variable_is_one(run: Run) -> None:
    _sent, name, wrong, file = run(
        "%%foveal_run --wait --name 'first' --into \"job\"\nprint(1)",
        "job.name",
        "%%foveal_run --into 1st\nprint(1)",
        "%%foveal_run --on k8s\nprint(1)",
    )
    assert shown(name) == "'first'"
    assert "'1st' is not the name of a variable" in error(wrong)
    assert "No job can be sent to k8s" in error(file)


def test_notes_say_what_a_job_leaves_out(run: Run) -> None:
    (sent,) = run("%%foveal_run --wait\n%matplotlib inline\nprint('done')", errors=False)
    assert (
        printed(sent) == f"left out: cell In[{sent.execution_count}], line 2: %matplotlib inline\n"
    )


def test_the_old_names_work_and_say_the_new_line(run: Run, tmp_path: Path) -> None:
    cells = run(
        "%%ml_init -projectId my-project -bucket my-bucket -scaleTier BASIC_GPU -image i "
        "-region asia-east1 -runtimeVersion 1.2\n{'install_requires': ['keras', 'Pillow']}",
        "%ml_init -projectId my-project -bucket my-bucket",
        "%%ml_code\nx = 1",
        "%%ml_run\nprint(x)",
        "%%ml_run clouds\nprint(x)",
        "%%ml_init -projectId my-project -bucket b\n__import__('os').system('touch evil')",
        "%ml_init -projectId my-project -bucket b -scaleTier BASIC_TPUS",
        "%ml_init -bucket b",
    )
    init, short, code, ran, clouds, body, tier, missing = cells
    assert printed(init) == (
        "%%ml_init is now: %foveal_init --project my-project --region asia-east1 --bucket "
        "my-bucket --machine n1-standard-8 --accelerator NVIDIA_TESLA_T4 --image i --package keras "
        "--package Pillow\n"
    )
    assert "--bucket my-bucket --machine n1-standard-4\n" in printed(short)
    assert printed(code).startswith("%%ml_code is now: %%foveal_code NAME\n")
    # Without `cloud` it runs here.
    assert printed(ran).endswith("\n1\n")
    assert "Expected %%ml_run cloud" in error(clouds)
    assert "Expected a dictionary" in error(body)
    assert not (tmp_path / "evil").exists()
    assert "Unknown scale tier 'BASIC_TPUS'" in error(tier)
    assert "-projectId" in printed(missing)


def test_the_extension_can_be_unloaded_and_the_magics_have_help(run: Run) -> None:
    helped, _, gone, again = run(
        "print(get_ipython().find_cell_magic('foveal_run').__doc__)",
        "%unload_ext foveal.notebook",
        "%%foveal_run\n1",
        "%reload_ext foveal.notebook\n%foveal_init",
    )
    assert "--wait" in printed(helped)
    assert "not found" in printed(gone)
    assert printed(again) == "Jobs go to local.\n"
