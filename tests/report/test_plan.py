"""From a profile, a filter and parameters to jobs."""

import pytest

from recutils.report.plan import make_plan
from recutils.tables import Problem

PARAMETERS = 'DATASET: str = "ml-100k"\nTOP_K: int = 10\nSHARE: float = 1.0'


@pytest.fixture
def three(build):
    build.notebook("10_data", "1", parameters=PARAMETERS)
    build.notebook("30_model", "1", parameters="TOP_K: int = 10\nFOLDS: int = 5", after=["10_data"])
    build.notebook("99_all", "1", after=["*"])
    return build


def given(plan):
    return {job.name: job.given for job in plan.jobs}


def test_defaults_reach_those_that_have_the_parameter(three):
    three.profile("smoke", defaults={"SHARE": 1, "TOP_K": 5}, notebooks={"30_model": {"TOP_K": 3}})
    assert given(make_plan(three.project, "smoke")) == {"10_data": {"TOP_K": 5}, "30_model": {"TOP_K": 3}, "99_all": {}}


def test_all_parameters_of_a_job_are_known(three):
    jobs = {job.name: job for job in make_plan(three.project, pairs=["TOP_K=4", "SHARE=0.25", "DATASET=12"]).jobs}
    assert jobs["10_data"].parameters == {"DATASET": "12", "TOP_K": 4, "SHARE": 0.25}
    assert jobs["30_model"].parameters == {"TOP_K": 4, "FOLDS": 5}


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"notebooks": {"30_model": {"FOLD": 2}}}, r"30_model: unknown parameter 'FOLD'. Did you mean FOLDS"),
        ({"notebooks": {"30_modl": {}}}, r"unknown notebook '30_modl'. Did you mean 30_model"),
        ({"notebooks": {"30_model": {"FOLDS": "two"}}}, "FOLDS must be int.* got 'two'"),
        ({"defaults": {"TOPK": 2}}, "no notebook has a parameter 'TOPK'. Did you mean TOP_K"),
        ({"defaults": {"TOP_K": 2.5}}, "TOP_K must be int"),
        ({"skip": {"31_model": "why"}}, "unknown notebook '31_model'"),
        ({"readme": [{"metrik": "ndcg"}]}, "readme: .* must name fields of records"),
        ({"readme": ["ndcg"]}, "readme: .* must name fields of records"),
        ({"readme": [{"notebook": ["10_data", "30_modle"]}]}, "unknown notebook '30_modle'. Did you mean 30_model"),
        ({"limits": 3}, "unknown key 'limits'"),
        ({"memory_gb": "4"}, "memory_gb must be int"),
        ({"name": "other"}, "name is 'other'"),
        ({"memory_gb": 1}, "10_data declares 2 GB, the profile smoke allows 1 GB"),
    ],
)
def test_wrong_profiles_are_refused(three, profile, message):
    three.profile("smoke", **profile)
    with pytest.raises(Problem, match=message):
        make_plan(three.project, "smoke")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["TOP_K"], "expected NAME=VALUE"),
        (["TOP_K=ten"], "TOP_K must be int"),
        (["TOP_K=2.5"], "TOP_K must be int"),
        (["TOPK=2"], "Did you mean TOP_K"),
    ],
)
def test_wrong_parameters_are_refused(three, pairs, message):
    with pytest.raises(Problem, match=message):
        make_plan(three.project, pairs=pairs)


def test_parameters_concern_the_matching_notebooks_only(three):
    plan = make_plan(three.project, only="30*", pairs=["TOP_K=4"])
    assert given(plan) == {"10_data": {}, "30_model": {"TOP_K": 4}}
    with pytest.raises(Problem, match="no notebook has a parameter 'SHARE'"):
        make_plan(three.project, only="30*", pairs=["SHARE=1"])


def test_unknown_profile_and_pattern(three):
    with pytest.raises(Problem, match="unknown profile 'standart'. Did you mean standard"):
        make_plan(three.project, "standart")
    with pytest.raises(Problem, match="matches no notebook"):
        make_plan(three.project, only="31*")
    (three.project.profiles / "smoke.yml").write_text("name: [")
    with pytest.raises(Problem, match="not YAML"):
        make_plan(three.project, "smoke")


def test_order_follows_needs_not_numbers(build):
    build.notebook("10_last", "1", after=["20_middle"])
    build.notebook("20_middle", "1", after=["30_first"])
    build.notebook("30_first", "1")
    build.notebook("00_all", "1", after=["*"])
    names = [job.name for job in make_plan(build.project).jobs]
    assert names == ["30_first", "20_middle", "10_last", "00_all"]
    only = make_plan(build.project, only="20_middle.ipynb")
    assert [job.name for job in only.jobs] == ["30_first", "20_middle"]


def test_a_cycle_is_named(build):
    build.notebook("10_a", "1", after=["20_b"])
    build.notebook("20_b", "1", after=["10_a"])
    with pytest.raises(Problem, match=r"wait for each other: .*10_a.*20_b|20_b.*10_a"):
        make_plan(build.project)


def test_an_unknown_need_is_named(build):
    build.notebook("10_a", "1")
    build.notebook("20_b", "1", after=["10_b"])
    with pytest.raises(Problem, match=r"20_b .*unknown notebook '10_b'. Did you mean"):
        make_plan(build.project)


def test_limits_come_from_the_notebook_else_from_the_profile(build):
    build.profile("standard", time_limit_minutes=3)
    build.notebook("10_a", "1", memory_gb=1)
    build.notebook("20_b", "1", time_limit_minutes=0.5)
    assert [(job.limit_seconds, job.memory_gb) for job in make_plan(build.project).jobs] == [(180, 1), (30, 2)]


def test_a_plan_names_the_command_that_makes_a_notebook_again(three):
    three.profile("smoke")
    assert make_plan(three.project).command("10_data") == "make report ONLY=10_data"
    assert make_plan(three.project, "smoke").command("10_data") == "make report ONLY=10_data PROFILE=smoke"
    changed = make_plan(three.project, "smoke", pairs=["TOP_K=4", "DATASET=my shop"]).command("10_data")
    assert changed.startswith("python -m recutils report --profile smoke --only 10_data --param")
    assert "--param TOP_K=4" in changed and "--param 'DATASET=my shop'" in changed
