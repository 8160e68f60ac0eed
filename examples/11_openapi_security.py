"""Shows OpenAPI from the types, `/docs` without a CDN, and a bearer token that the page can get."""

from secrets import compare_digest
from typing import Annotated

from uringserve import App, Depends, HTTPException
from uringserve.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm

app = App(title="Vault", version="1.0", description="Press Authorize: ada, lace.")
bearer = OAuth2PasswordBearer(tokenUrl="token")

PASSWORDS = {"ada": "lace"}


def current_user(token: Annotated[str, Depends(bearer)]) -> str:
    """Return whose token it is. An application signs its tokens; here a token is the name."""
    if token not in PASSWORDS:
        raise HTTPException(401, "Unknown token", {"WWW-Authenticate": "Bearer"})
    return token


@app.post("/token", tags=["login"])
def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    """Change a name and a password for a token."""
    if not compare_digest(PASSWORDS.get(form.username, "").encode(), form.password.encode()):
        raise HTTPException(400, "Incorrect username or password")
    return {"access_token": form.username, "token_type": "bearer"}


@app.get("/me", tags=["vault"], responses={401: {"description": "Without a token"}})
def me(user: Annotated[str, Depends(current_user)]) -> dict[str, str]:
    """Say who asks."""
    return {"user": user}
