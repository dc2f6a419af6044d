#!lua flags=allow-oom
-- Renew the leases of the entries in flight: their idle time starts at zero again.
--
-- KEYS[1]   stream
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3..] pairs: entry ID, delivery count
--
-- Returns {{entry IDs that are no longer this consumer's at that delivery},
--          {entry IDs that are no longer in the stream}}
--@include fence

local ids, deliveries = {}, {}
for i = 3, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
    deliveries[#deliveries + 1] = ARGV[i + 1]
end
local others = strangers(KEYS[1], ARGV[1], ARGV[2], ids, deliveries)
local lost, ours, deleted = {}, {}, {}
local claim = { 'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0 }
for i = 1, #ids do
    if others[i] then
        lost[#lost + 1] = ids[i]
    else
        ours[#ours + 1] = ids[i]
        claim[#claim + 1] = ids[i]
    end
end
if #ours > 0 then
    -- JUSTID leaves the delivery count alone. XCLAIM drops what was deleted.
    local renewed = {}
    claim[#claim + 1] = 'JUSTID'
    local reply = redis.call(unpack(claim))
    for i = 1, #reply do
        renewed[reply[i]] = true
    end
    for i = 1, #ours do
        if not renewed[ours[i]] then
            deleted[#deleted + 1] = ours[i]
        end
    end
end
return { lost, deleted }
