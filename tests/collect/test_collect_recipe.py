"""Recipes and lists: what they say, and one clear line for each mistake."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foveal.collect.recipe import check_class, load_recipe, seconds_of, size_of
from foveal.errors import FovealError, RecipeError

GOOD = """\
classes:
  phone: https://shop.example/phones
  laptop: [https://shop.example/laptops, https://shop.example/notebooks#top]
item: li.ad
picture: img::attr(data-src)
next: //a[@rel="next"]
fields: {title: h3, price: .price::text}
limits: {pages: 20, bytes: 500MB, time: 1h30m}
"""


def write(folder: Path, text: str, name: str = "ads.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD), ["delay=2", "limits.pages=3"])
    assert recipe.classes == {
        "phone": ("https://shop.example/phones",),
        "laptop": ("https://shop.example/laptops", "https://shop.example/notebooks"),
    }
    options = recipe.options
    assert (options.delay, options.limits.pages, options.robots) == (2.0, 3, True)
    assert (options.limits.bytes, options.limits.time) == (500_000_000, 5400.0)
    assert (recipe.pictures, recipe.columns) == (1000, ("title", "price"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item: li", "Missing or invalid recipe key 'classes'"),
        ("classes: {}", "Missing or invalid recipe key 'classes'"),
        ("classes: {a: }", "'classes.a'. Expected an address or a list"),
        ("classes: {a: []}", "'classes.a'. Expected an address or a list"),
        ("classes: {a: shop.example}", "'classes.a': not an http or https address"),
        ("classes: {a: 'file:///etc/passwd'}", "'classes.a': not an http or https address"),
        ("classes: {a: 'http://me:secret@x/'}", "a user name or password"),
        ("classes: {a: 'http://'}", "'classes.a': an address without a host"),
        ("classes: {a: 'http://[::1/'}", "'classes.a': not an address"),
        ("classes: {no: 'http://x/'}", "YAML does not read False as text"),
        ("classes: {../a: 'http://x/'}", "Invalid class name '../a'"),
        ("classes: {.a: 'http://x/'}", "Invalid class name '.a'"),
        ("classes: {a: 'http://x/', a: 'http://y/'}", "the key 'a' occurs twice"),
        (GOOD + "itm: li", "Unknown recipe key 'itm'. Did you mean 'item'?"),
        (GOOD + "delay: soon", "recipe key 'delay'. Expected a number >= 0. Received: 'soon'"),
        (GOOD + "robots: maybe", "recipe key 'robots'. Expected true or false"),
        (GOOD.replace("li.ad", "'li..ad'"), "Invalid selector in recipe key 'item'"),
        (GOOD.replace("li.ad", "'//li['"), "Invalid selector in recipe key 'item'"),
        (GOOD.replace("h3,", "'h3::nothing',"), "Invalid selector in recipe key 'fields.title'"),
        (GOOD.replace("title: h3", "title: 3"), "'fields.title'. Expected a CSS selector"),
        (GOOD.replace("title: h3", "sha256: h3"), "name of a field in recipe key 'fields'"),
        (GOOD.replace("500MB", "much"), "recipe key 'limits.bytes'. Expected a whole number"),
        (GOOD.replace("1h30m", "soon"), "recipe key 'limits.time'. Expected a number > 0"),
        (GOOD.replace("pages: 20", "pages: 0"), "'limits.pages'. Expected a whole number >= 1"),
        (GOOD.replace("pages: 20", "page: 20"), "Did you mean 'limits.pages'?"),
        ("classes: [", "is not YAML: line 1"),
        ("just words", "is a list or a value"),
        ("", "is empty"),
        ("user_agent: \u00fc\n" + GOOD, "'user_agent'. Expected printable ASCII"),
    ],
)
def test_each_mistake_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no address"),
        ("address,label\n", "has no rows"),
        ("adress,label\nhttp://x/a,cat\n", "Did you mean 'adress'?"),
        ("address,kind\nhttp://x/a,cat\n", "has no label"),
        ("address,label\nhttp://x/a,\n", "line 2, has no label"),
        ("address,label\nhttp://x/a,a/b\n", "Invalid class name 'a/b'"),
        ("address,label\nhttp://x/a,cat,more\n", "line 2, has 3 cells where the header has 2"),
        ("address,label,sha256\nhttp://x/a,cat,0\n", "a column 'sha256', a name that"),
        ("address,label,address\nhttp://x/a,cat,0\n", "two columns named 'address'"),
        (
            'address,label,title\nhttp://x/a,cat,"12 inch\nhttp://x/b,cat,"6"\n',
            "line 2: a quote that opens in this row is not closed",
        ),
    ],
)
def test_each_mistake_in_a_list_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text, "list.csv"))
    assert message in caught.value.message
    assert str(tmp_path) in caught.value.message


def test_lists_are_read_by_their_columns(tmp_path: Path) -> None:
    csv = write(tmp_path, "id;URL;Class\n1;http://x/a.png;cat\n", "list.csv")
    lines = write(tmp_path, '{"url": "http://x/a.png", "label": "cat", "id": 1}\n', "list.jsonl")
    for path in (csv, lines):
        (row,) = load_recipe(path).listed
        assert (row.address, row.label, row.fields) == ("http://x/a.png", "cat", {"id": "1"})
        assert load_recipe(path).pictures == 1


def test_values_of_json_are_texts_as_in_tables_of_labels(tmp_path: Path) -> None:
    entry = '{"url": "http://x/a", "label": "cat", "colours": ["red", "blue"], "sold": true}\n'
    (row,) = load_recipe(write(tmp_path, entry, "list.jsonl")).listed
    assert row.fields == {"colours": "red|blue", "sold": "true"}


def test_a_missing_recipe_is_said(tmp_path: Path) -> None:
    for name in ("ads.yaml", "list.csv"):
        with pytest.raises(RecipeError, match="No such file"):
            load_recipe(tmp_path / name)
    (tmp_path / "latin.yaml").write_bytes(b"classes: {caf\xe9: http://x}")
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("2GB", 2 * 10**9), ("1.5 kb", 1500), ("3MiB", 3 * 10**6)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("", None)]
)
def test_times_have_units(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["classes", "item", "picture", "next", "fields", "delay", "limits", "user_agent", "robots"]


@given(st.dictionaries(st.sampled_from(KEYS), yaml_values, max_size=5))
def test_any_recipe_is_read_or_refused_with_a_line(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    try:
        recipe = load_recipe(path)
    except FovealError as error:
        assert "\n" not in error.message
    else:
        assert recipe.classes


@given(st.text(max_size=40))
def test_any_text_is_a_list_or_refused_with_a_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(("address,label\n" + text).encode("utf-8", "surrogatepass"))
    try:
        rows = load_recipe(path).listed
    except FovealError:
        return
    for row in rows:
        check_class(row.label)
