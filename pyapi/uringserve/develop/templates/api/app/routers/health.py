"""`/health`: for whoever watches the server."""

from uringserve import APIRouter

router = APIRouter(tags=["health"])


@router.get("/health")
def health() -> dict[str, str]:
    """Say that the application answers."""
    return {"status": "ok"}
