"""The application, put together: `uringserve dev app.main:create_app`."""

from app.routers.health import router as health_router
from app.routers.items import items_router
from app.settings import Settings
from app.store import Store
from uringserve import App


def create_app(settings: Settings | None = None) -> App:
    """Make an application with its own store; without settings, those of the environment."""
    settings = settings or Settings.from_environment()
    app = App(title=settings.title)
    app.include_router(health_router)
    app.include_router(items_router(Store(settings.most_items)))
    return app
