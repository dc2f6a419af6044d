--@include room

-- Put in front of a script that writes an entry to KEYS[1]; its last argument, which is taken
-- away, is how many may wait to be settled.
do
    local most = tonumber(table.remove(ARGV))
    local backlog = backlog_of(KEYS[1], most)
    if backlog >= most then
        return redis.error_reply('BACKLOGFULL ' .. backlog)
    end
end
