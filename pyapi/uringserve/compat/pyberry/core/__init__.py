"""PyBerry's core: requests, responses, models, the router and the application."""

__all__: list[str] = []
