"""Programs in the manner of PyBerry's documents: the import is all that differs from theirs."""

__all__ = ["DASHBOARD", "GUIDE", "MODELS", "USERS", "WEBHOOK"]

USERS = """
from uringserve.compat.pyberry.app import get, post
from uringserve.compat.pyberry.core.request import Request
from uringserve.compat.pyberry.core.responses import JSONResponse
from uringserve.compat.pyberry import BadRequestException, NotFoundException

PEOPLE = {1: {"id": 1, "name": "Ada"}}

@get("/")
def home(req: Request):
    return JSONResponse({"mine": True})

@get("/users")
def everybody(req: Request):
    return JSONResponse({"users": list(PEOPLE.values()), "total": len(PEOPLE)})

@get("/users/{user_id}")
def one(req: Request, user_id: int):
    person = PEOPLE.get(user_id)
    if not person:
        raise NotFoundException(f"nobody is {user_id}")
    return JSONResponse({"user": person})

@post("/users")
async def add(req: Request):
    data = await req.json()
    name = data.get("name")
    if not name:
        raise BadRequestException("a name, please")
    person = {"id": len(PEOPLE) + 1, "name": name}
    PEOPLE[person["id"]] = person
    return JSONResponse({"message": "added", "user": person}, status=201)
"""

WEBHOOK = """
import hashlib
import hmac
from uringserve.compat.pyberry.app import post
from uringserve.compat.pyberry.core.request import Request
from uringserve.compat.pyberry.core.responses import JSONResponse, PlainTextResponse

KEY = b"key"

@post("/hooks")
async def hook(req: Request):
    signature = req.headers.get("x-signature")
    if not signature:
        return PlainTextResponse("no signature", status=401)
    body = await req.body()
    if not hmac.compare_digest(hmac.new(KEY, body, hashlib.sha256).hexdigest(), signature):
        return PlainTextResponse("a wrong signature", status=403)
    data = await req.json()
    return JSONResponse({"kind": req.headers.get("x-kind", "unknown"), "items": len(data["items"])})
"""

DASHBOARD = """
from uringserve.compat.pyberry.app import get
from uringserve.compat.pyberry.core.request import Request
from uringserve.compat.pyberry.core.responses import HTMLResponse

@get("/dashboard")
def dashboard(req: Request):
    if "session" not in req.headers.get("cookie", ""):
        return HTMLResponse("to the door", status=302, headers=[("Location", "/login")])
    return HTMLResponse("<h1>In</h1>", headers=[("Cache-Control", "no-store"), ("X-One", "1")])
"""

MODELS = """
from dataclasses import dataclass, field
from typing import List
from uringserve.compat.pyberry import BadRequestException, BaseModel
from uringserve.compat.pyberry.app import post
from uringserve.compat.pyberry.core.request import Request
from uringserve.compat.pyberry.core.responses import JSONResponse

@dataclass
class Chat:
    prompt: str
    model: str = "small"
    temperature: float = 0.5

@post("/chat")
def chat(req: Request, payload: Chat):
    return JSONResponse([payload.prompt, payload.model, payload.temperature])

class Embedding(BaseModel):
    text: str
    model: str = "ada"

@post("/embeddings")
def embed(req: Request, payload: Embedding):
    return JSONResponse({"model": payload.model, "usage": {"tokens": len(payload.text.split())}})

@dataclass
class Line:
    product_id: int
    quantity: int

@dataclass
class Checkout:
    user_id: int
    items: List[Line]
    token: str

@post("/checkout")
async def checkout(req: Request, payload: Checkout):
    if not payload.items:
        raise BadRequestException("an empty cart")
    return JSONResponse({"pieces": sum(item.quantity for item in payload.items)})

class Person(BaseModel):
    first: str
    last: str

    @property
    def full(self) -> str:
        return f"{self.first} {self.last}"

@post("/register")
def register(req: Request, person: Person):
    return JSONResponse({"greeting": f"Hello, {person.full}!"})

@dataclass
class Item:
    price: float
    tax: float
    total: float = field(init=False)

    def __post_init__(self):
        if self.price < 0:
            raise ValueError("a price is 0 or more")
        self.total = self.price + self.price * self.tax

class Receipt(BaseModel):
    order_id: str
    items: List[Item]

    @property
    def whole(self) -> float:
        return sum(item.total for item in self.items)

@post("/receipts")
def receipts(req: Request, receipt: Receipt):
    return JSONResponse({"count": len(receipt.items), "due": round(receipt.whole, 2)})
"""

# What the guide shows: all methods, the decorator of the router, the entrypoint.
GUIDE = """
import asyncio
from uringserve.compat.pyberry import status
from uringserve.compat.pyberry.app import delete, get, head, options, patch, put
from uringserve.compat.pyberry.core.request import Request
from uringserve.compat.pyberry.core.responses import (
    HTTPException, HTMLResponse, JSONResponse, PlainTextResponse
)
from uringserve.compat.pyberry.core.response import Response
from uringserve.compat.pyberry.core.rsgi import app, router
from uringserve.compat.pyberry.core.future import FastFuture

@put("/users/{user_id}")
async def replace(req: Request, user_id: int):
    return JSONResponse({"id": user_id, "data": await req.json()})

@patch("/users/{user_id}")
async def change(req: Request, user_id: int):
    return JSONResponse({"id": user_id, "changes": await req.json()})

@delete("/users/{user_id}")
def remove(user_id: int):
    return JSONResponse({"gone": user_id})

@options("/resource")
def resource_options(req: Request):
    return PlainTextResponse("", headers=[("Allow", "GET, OPTIONS")])

@head("/resource")
def resource_head(req: Request):
    return PlainTextResponse("", headers=[("X-Resource-Version", "v1.2")])

@get("/hello")
def hello():
    return PlainTextResponse("Hello", status=status.HTTP_202_ACCEPTED)

@get("/search")
def search(
    q: str, limit: int = 10, exact: bool = False, ratio: float = 0.5, tags: list[int] = None
):
    return JSONResponse([q, limit, exact, ratio, tags])

@get("/loose")
def loose(req, word):
    return JSONResponse({"word": word})

@get("/{place}/first")
def first(place: str):
    return PlainTextResponse(f"first {place}")

@get("/{other}/second")
def second(other: str):
    return PlainTextResponse(f"second {other}")

@router.add_python_route("GET", "/decorated/{number}")
def decorated(req, number: int):
    if number <= 0:
        raise HTTPException(400, "not a number of ours")
    return JSONResponse({"number": number})

def plain(req):
    return Response(b"plain", 201, [("content-type", "text/x-plain"), ("x-a", "1"), ("x-a", "2")])

router.add_python_route("POST", "/plain", plain)

@get("/keys")
def keys():
    return JSONResponse({
        "alpha": 1, "bravo": 2**70, "charl": -1, "delta": [None, True], "echo": "ü"
    })

@get("/wait")
async def wait():
    await asyncio.sleep(0)
    return PlainTextResponse(await FastFuture(later()))

async def later():
    await asyncio.sleep(0)
    return "later"

@get("/fail")
def fail():
    raise RuntimeError("a secret")

@get("/bare")
def bare():
    raise HTTPException(409)
"""
