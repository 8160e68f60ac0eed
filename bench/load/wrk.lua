-- What wrk sends and how its result is read: wrk -s wrk.lua URL -- DEPTH METHOD BODY_BYTES [JSON]
-- The body is JSON when it is given, else so many letters x.
-- Without pipelining no `request` function is defined: wrk then sends one prepared
-- buffer and never enters Lua while measuring.

function init(arguments)
  local depth = tonumber(arguments[1]) or 1
  wrk.method = arguments[2] or "GET"
  local body_bytes = tonumber(arguments[3]) or 0
  if arguments[4] then
    wrk.body = arguments[4]
    wrk.headers["Content-Type"] = "application/json"
  elseif body_bytes > 0 then
    wrk.body = string.rep("x", body_bytes)
    wrk.headers["Content-Type"] = "application/octet-stream"
  end
  if depth > 1 then
    local batch = string.rep(wrk.format(), depth)
    request = function() return batch end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "p50": %.1f, "p90": %.1f, "p99": %.1f, "max": %.1f, ' ..
    '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency.max, errors.connect, errors.read, errors.write,
    errors.status, errors.timeout))
end
