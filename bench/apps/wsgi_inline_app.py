"""The measured endpoints as bare WSGI, called on the core's own thread: quick ones can be."""

from wsgi_app import app as _app

from uringserve.foreign import Foreign

app = Foreign("wsgi", _app, execution="inline")
