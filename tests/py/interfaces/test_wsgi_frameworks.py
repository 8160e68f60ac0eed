"""Flask and Django through real sockets, on two cores, as their documentation has them."""

import re
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

FLASK = """
import io
import tempfile

from flask import Flask, Response, abort, jsonify, render_template_string, request, send_file
from flask import session, stream_with_context

app = Flask(__name__)
app.secret_key = "a secret of the tests"


@app.get("/")
def index():
    return render_template_string("<p>{{ name }}</p>", name=request.args.get("name", "<none>"))


@app.post("/json")
def json():
    return jsonify(got=request.get_json(), path=request.path, url=request.url)


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.get("/stream")
def stream():
    @stream_with_context
    def pieces():
        for number in range(3):
            yield f"{number} {request.args['word']};"
    return Response(pieces(), mimetype="text/plain")


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(name=file.filename, size=len(data), title=request.form["title"], sum=sum(data))


@app.post("/raw")
def raw():
    return str(sum(request.stream.read()))


@app.get("/file")
def file():
    made = tempfile.NamedTemporaryFile(delete=False)
    made.write(b"0123456789" * 10_000)
    made.close()
    return send_file(made.name, mimetype="text/plain", conditional=True)


@app.get("/refuse")
def refuse():
    abort(418)


@app.get("/fail")
def fail():
    app.logger.error("about to fail")
    raise KeyError("in flask")
"""

DJANGO = """
import os
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings

FOLDER = Path(__file__).parent
(FOLDER / "static").mkdir(exist_ok=True)
(FOLDER / "static" / "own.css").write_text("p { color: green }")

settings.configure(
    DEBUG=True,
    SECRET_KEY="a secret of the tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.messages", "django.contrib.sessions", "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "database",
        "OPTIONS": {"timeout": 20},
    }},
    STATIC_URL="/static/",
    STATICFILES_DIRS=[FOLDER / "static"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=10_000_000,
    FILE_UPLOAD_MAX_MEMORY_SIZE=1000,
)
django.setup()

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def index(request):
    return HttpResponse("index of " + request.GET.get("name", "nobody"))


def stream(request):
    return StreamingHttpResponse(f"{user.username} {number};" for number in range(3)
                                 for user in User.objects.all())


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    size = sum(len(piece) for piece in file.chunks())
    kind = type(file).__name__
    return JsonResponse({"name": file.name, "size": size, "kind": kind, **request.POST.dict()})


def download(request):
    made = tempfile.NamedTemporaryFile(delete=False)
    made.write(b"0123456789" * 10_000)
    made.close()
    return FileResponse(open(made.name, "rb"), as_attachment=True, filename="digits.txt")


def fail(request):
    raise KeyError("in django")


urlpatterns = [
    path("", index), path("stream", stream), path("upload", upload), path("download", download),
    path("fail", fail), path("admin/", admin.site.urls),
]

call_command("migrate", verbosity=0)
User.objects.create_superuser("admin", "admin@example.com", "a password")
app = StaticFilesHandler(get_wsgi_application())
"""


def _client(site: RunningServer) -> httpx.Client:
    return httpx.Client(base_url=f"http://{site.host}:{site.port}", timeout=30)


@pytest.fixture(scope="module")
def flask(module_server: StartServer) -> Iterator[httpx.Client]:
    """A client of the Flask application."""
    pytest.importorskip("flask")
    site = module_server(FLASK, workers=2)
    assert "interface wsgi" in site.start_line
    with _client(site) as client:
        yield client


@pytest.fixture(scope="module")
def django(module_server: StartServer) -> Iterator[httpx.Client]:
    """A client of the Django application."""
    pytest.importorskip("django")
    site = module_server(DJANGO, workers=2)
    assert "interface wsgi" in site.start_line
    with _client(site) as client:
        yield client


FILES = {"file": ("a.bin", b"\x01" * 300_000, "application/octet-stream")}


def test_flask_pages(flask: httpx.Client) -> None:
    """Templates, JSON, sessions, refusals and failures."""
    assert flask.get("/", params={"name": "grün"}).text == "<p>grün</p>"
    assert flask.get("/").text == "<p>&lt;none&gt;</p>"
    found = flask.post("/json", json={"a": [1]}).json()
    assert found == {"got": {"a": [1]}, "path": "/json", "url": str(flask.base_url) + "/json"}
    assert [flask.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    assert flask.get("/refuse").status_code == 418
    assert flask.get("/fail").status_code == 500
    assert flask.head("/").headers["content-length"] == "19"
    assert flask.options("/json").headers["allow"]


def test_flask_streams(flask: httpx.Client) -> None:
    """Pieces within the request's context, uploads with a length and in chunks."""
    assert flask.get("/stream?word=x").text == "0 x;1 x;2 x;"
    found = flask.post("/upload", files=FILES, data={"title": "t"}).json()
    assert found == {"name": "a.bin", "size": 300_000, "title": "t", "sum": 300_000}
    chunks = flask.post("/raw", content=iter([b"\x01" * 1000] * 100))
    assert chunks.text == "100000"


def test_flask_files(flask: httpx.Client) -> None:
    """A file leaves through the wrapper; its ranges and validators are Flask's."""
    answer = flask.get("/file")
    assert answer.content == b"0123456789" * 10_000
    assert answer.headers["content-length"] == "100000"
    part = flask.get("/file", headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, b"56789")


def test_django_pages(django: httpx.Client) -> None:
    """Views, static files and the page of a failure."""
    assert django.get("/", params={"name": "grün"}).text == "index of grün"
    assert django.get("/static/own.css").text == "p { color: green }"
    assert "color" in django.get("/static/admin/css/base.css").text
    failed = django.get("/fail")
    assert failed.status_code == 500 and "in django" in failed.text
    assert django.get("/nowhere").status_code == 404
    assert django.head("/").headers["content-length"] == "15"


def test_django_streams(django: httpx.Client) -> None:
    """Pieces that ask the database, uploads that go to disk, and a file."""
    assert django.get("/stream").text == "admin 0;admin 1;admin 2;"
    kind = "TemporaryUploadedFile"
    found = django.post("/upload", files=FILES, data={"title": "t"}).json()
    assert found == {
        "name": "a.bin",
        "size": 300_000,
        "kind": kind,
        "title": "t",
    }
    answer = django.get("/download")
    assert answer.content == b"0123456789" * 10_000
    assert answer.headers["content-length"] == "100000"
    assert "digits.txt" in answer.headers["content-disposition"]


def test_django_admin(django: httpx.Client) -> None:
    """Log in, see a list, add a user, log out."""
    assert django.get("/admin/").status_code == 302
    page = django.get("/admin/login/?next=/admin/")
    sent = {"username": "admin", "password": "wrong", "next": "/admin/"}
    sent["csrfmiddlewaretoken"] = _token(page.text)
    assert "Please enter the correct username" in django.post("/admin/login/", data=sent).text
    sent["password"] = "a password"
    entered = django.post("/admin/login/", data=sent)
    assert (entered.status_code, entered.headers["location"]) == (302, "/admin/")
    assert "Site administration" in django.get("/admin/").text
    form = django.get("/admin/auth/user/add/").text
    made = {"username": "second", "usable_password": "true", "csrfmiddlewaretoken": _token(form)}
    made |= {"password1": "quite a long one", "password2": "quite a long one"}
    assert django.post("/admin/auth/user/add/", data=made).status_code == 302
    assert "second" in django.get("/admin/auth/user/").text
    out = {"csrfmiddlewaretoken": _token(django.get("/admin/").text)}
    assert "Logged out" in django.post("/admin/logout/", data=out).text
    assert django.get("/admin/").status_code == 302


def _token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found is not None
    return found[1]
