import pytest

from ganlib.addresses import Source, parse

HUB = "https://huggingface.co"


@pytest.mark.parametrize(("text", "expected"), [
    (f"{HUB}/user/repo", "user/repo"),
    (f"  {HUB}/user/repo/ \n", "user/repo"),
    (" user/repo@v1 ", "user/repo@v1"),
    ("huggingface.co/user/repo", "user/repo"),
    ("hf.co/user/repo/tree/v1", "user/repo@v1"),
    ("HTTP://www.HuggingFace.co/User/Repo?library=true#files", "User/Repo"),
    (f"{HUB}/user/repo/tree/main", "user/repo"),
    (f"{HUB}/user/repo/tree/v1.0/toys/ring/", "user/repo/toys/ring@v1.0"),
    (f"{HUB}/user/repo/tree/refs%2Fpr%2F1", "user/repo@refs/pr/1"),
    (f"{HUB}/user/repo/tree/refs/pr/1/toys", "user/repo/toys@refs/pr/1"),
    (f"{HUB}/user/repo/tree/feature%2Fx/toys", "user/repo/toys@feature/x"),
    (f"{HUB}/user/repo/blob/main/model.safetensors", "user/repo"),
    (f"{HUB}/user/repo/resolve/v1/toys/model.safetensors?download=true", "user/repo/toys@v1"),
    (f"{HUB}/user/repo/commit/0a1b2c", "user/repo@0a1b2c"),
    (f"{HUB}/user/repo/toys", "user/repo/toys"),
    (f"{HUB}/user/repo.git", "user/repo"),
    ("https://user:hf_secret@huggingface.co/user/repo", "user/repo"),
    ("user:hf_secret@huggingface.co/user/repo", "user/repo"),
    ("https://user:hf@secret@huggingface.co:443/user/repo", "user/repo"),
    ("http://huggingface.co:80/user/repo", "user/repo"),
    ("hf://user/repo@v1", "user/repo@v1"),
    ("hf://user/repo@v1/toys/config.json", "user/repo/toys@v1"),
    ("hf://user/repo@refs/pr/1/toys", "user/repo/toys@refs/pr/1"),
    ("hf://user/repo/toys@v1", "user/repo/toys@v1"),
    ("hf://models/user/repo", "user/repo"),
    ("https://mirror.example:8080/hub/user/repo/tree/v1", "user/repo@v1"),
    ("mirror.example:8080/hub/user/repo", "user/repo"),
])
def test_a_pasted_address_means_a_model(monkeypatch, text, expected):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8080/hub/")
    assert str(parse(text)) == expected
    assert parse(expected) == parse(text)


@pytest.mark.parametrize(("text", "sentence"), [
    (f"{HUB}/spaces/user/x", f"'{HUB}/spaces/user/x' is a Space; a model on the Hub is named user/repo"),
    ("spaces/user/x", "'spaces/user/x' is a Space; a model on the Hub is named user/repo"),
    ("hf://datasets/user/x/train.csv", "is a dataset; a model on the Hub is named user/repo"),
    (f"{HUB}/datasets/user/x/tree/main", "is a dataset; "),
    (f"{HUB}/user", f"'{HUB}/user' is the page of a user or an organisation; a model on the Hub is named user/repo"),
    (HUB, "is a page of the Hub, not a model; "),
    (f"{HUB}/models?sort=likes", f"'{HUB}/models' is a page of the Hub, not a model; "),
    (f"{HUB}/docs/hub/index", "is a page of the Hub, not a model; "),
    (f"{HUB}/user/repo/commits/main", "is a page of user/repo; give user/repo alone"),
    (f"{HUB}/api/models/user/repo", "is a page of the Hub, not a model; "),
    ("https://huggingface.co:8080/user/repo", "is not an address of the Hugging Face Hub; "),
    ("https://u:hf_secret/x@huggingface.co/user/repo", "'https://huggingface.co/user/repo' is not an address of the "),
    ("https://u:x@hf_secret@example.org/user/repo", "'https://example.org/user/repo' is not an address of the "),
    (f"{HUB}/user/repo/discussions/3", "is a page of user/repo; give user/repo alone"),
    (f"{HUB}/a/../b", "is not the address of a model; "),
    (f"{HUB}/a/b c", "is not the address of a model; "),
    (f"{HUB}/a/b/tree/x%0Ay", "is not the address of a model; "),
    ("https://example.org/user/repo", "is not an address of the Hugging Face Hub; a model on the Hub is named user/"),
    ("https:///user/repo", "is not an address of the Hugging Face Hub; "),
    ("https://huggingface.co.example.org/user/repo", "is not an address of the Hugging Face Hub; "),
    ("https://u:hf_secret@huggingface.co/spaces/user/x?token=hf_secret", f"'{HUB}/spaces/user/x' is a Space; "),
])
def test_the_address_of_something_else_is_refused_with_the_right_name(text, sentence):
    with pytest.raises(ValueError, match="^'") as caught:
        parse(text)
    assert sentence in str(caught.value)
    assert "hf_secret" not in str(caught.value)


def test_a_space_has_addresses_too():
    for text in ("user/x", f"{HUB}/spaces/user/x", "spaces/user/x", f"{HUB}/spaces/user/x/tree/main"):
        assert parse(text, "spaces") == Source("user/x")
    for address, sentence in (
            (f"{HUB}/user/x", "is a model; a Space on the Hub is named user/space"),
            ("https://example.org/user/x", "is not an address of the Hugging Face Hub; a Space on the Hub is named")):
        with pytest.raises(ValueError, match=sentence):
            parse(address, "spaces")


def test_a_host_that_cannot_be_read_is_one_sentence_without_a_password():
    with pytest.raises(ValueError, match="^this address has a host that cannot be read; a model on the Hub is named"):
        parse("https://u:hf_secret@[x/user/repo")
    assert parse("u:x@[x/user/repo") is None


@pytest.mark.parametrize("text", ["C:\\models\\x", "C:/models/x", "models\\x", "./user/repo", "../user/repo",
                                  "/user/repo", "~/user/repo", "file:///user/repo", "user/repo?x", "dcgan", "",
                                  "huggingface.com/a/b/"])
def test_a_path_stays_a_path(text):
    assert parse(text) is None
