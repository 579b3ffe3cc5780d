"""Azure Functions finds these by their decorators; names, routes and times are those of package.json."""

from __future__ import annotations

import app as application
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.function_name("hello")
@app.route(route="hello/{name}", methods=[func.HttpMethod.GET])
def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(application.hello(req.route_params.get("name", "world")), mimetype="text/plain")


@app.function_name("tick")
@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
def tick(timer: func.TimerRequest) -> None:
    print(application.tick())
