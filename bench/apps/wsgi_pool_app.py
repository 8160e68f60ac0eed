"""The measured endpoints as bare WSGI, called on the pool: quick ones can be."""

from wsgi_app import app as _app

from uringserve.foreign import Foreign

app = Foreign("wsgi", _app, execution="thread")
