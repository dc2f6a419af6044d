#!lua flags=allow-oom
-- Settle as `settle.lua` does, for a group with rules; and let those run next that waited
-- for what the settled jobs had: their key, or their room in the group.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   cancelled jobs of the group
-- KEYS[5..10] flow control: keys, busy, lines, due, queue, rates
-- KEYS[11..] as KEYS[5..] in settle.lua
-- ARGV[1..] as in settle.lua; after these the rules, as JSON, and how many deliveries the
--           consumer has room for
--
-- Returns {what settle.lua returns, {{entry ID, {field, value, ...}, delivery count}, ...}}.
local FIRST_KEY = 11
--@include flow

local bad_flow = wrong_flow({ unpack(KEYS, 5, 10) })
if bad_flow then
    return bad_flow
end

--@include settling

local now_flow = now or now_ms()
local flow = flow_control(stream, group, { unpack(KEYS, 5, 10) }, ARGV[#ARGV - 1], now_flow)
local given, room = {}, tonumber(ARGV[#ARGV])
for _, id in ipairs(acked) do
    flow.leave(id)
end
if not flow.rules.block then
    for _, id in ipairs(parked) do
        flow.leave(id)
    end
end
for _ = 1, ROUNDS do
    for _, id in ipairs(flow.serve(n)) do
        if #given >= room then
            flow.offer(id)
        else
            given[#given + 1] = flow.hand_out(id, consumer)
        end
    end
    if not next(flow.freed) then
        break
    end
end
return { refused, given }
