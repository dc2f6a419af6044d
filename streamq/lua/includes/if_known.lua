-- Put in front of a script that writes a job once. Its last key, which is taken away, is the
-- string of the idempotency key: without it, nothing is written here.
if redis.call('EXISTS', table.remove(KEYS)) == 0 then
    return redis.error_reply('NOTKNOWN no job has the key here')
end
