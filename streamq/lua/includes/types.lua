local function is_a(key, kind)
    local found = redis.call('TYPE', key)['ok']
    return found == 'none' or found == kind
end

-- Refuse to start when a key of streamq's own holds something else: a script that
-- fails half way would leave half of its work behind.
local function wrong_type(key, kind)
    if not is_a(key, kind) then
        return redis.error_reply('WRONGTYPE the key ' .. key .. ' must be a ' .. kind)
    end
end
