#!lua flags=no-writes
-- What all workers of a stream agree on. A script, for it says so when the key is no hash.
--
-- KEYS[1]   settings of the stream
-- ARGV[1..] none
--
-- Returns {setting, its value, ...}.

return redis.call('HGETALL', KEYS[1])
