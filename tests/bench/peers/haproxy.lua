-- A policy service for HAProxy, to measure flashpolicyd against. POLICY_FILE in the environment
-- names the policy, without its NUL.

local file = assert(io.open(os.getenv("POLICY_FILE"), "rb"))
local policy = file:read("a") .. "\0"
file:close()
local request = "<policy-file-request/>\0"

core.register_service("policy", "tcp", function(applet)
    -- It waits for that many bytes, for the client's end, or for "timeout client".
    if applet:receive(#request) == request then
        applet:send(policy)
    end
end)
