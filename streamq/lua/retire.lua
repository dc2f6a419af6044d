#!lua flags=allow-oom
-- Remove a consumer, if it holds nothing: XGROUP DELCONSUMER would drop what it holds.
--
-- KEYS[1]   stream
-- KEYS[2]   lock of the group's reclaiming, let go
-- ARGV[1]   group
-- ARGV[2]   consumer
--
-- Returns 1 when it is gone, 0 when it holds entries.

if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then
    return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call('DEL', KEYS[2])
return 1
