-- Which of the commands the user may not run: a list of {command, arguments ...}, with the
-- keys in their places. A script that was refused in its middle would leave half of its work
-- behind, so it looks before its first write. Returns 'COMMAND key' of each, without repeats.
local function lacking(needs)
    local missing, seen = {}, {}
    for _, need in ipairs(needs) do
        if not redis.acl_check_cmd(unpack(need)) then
            local name = string.lower(need[1])
            if need[1] == 'XGROUP' or need[1] == 'XINFO' then
                name = name .. '|' .. string.lower(need[2]) .. ' ' .. need[3]
            else
                name = name .. ' ' .. need[2]
            end
            if not seen[name] then
                seen[name] = true
                missing[#missing + 1] = name
            end
        end
    end
    return missing
end

-- The same as an error, or nil when nothing is missing.
local function not_permitted(needs)
    local missing = lacking(needs)
    if #missing > 0 then
        return redis.error_reply('NOPERM streamq needs ' .. table.concat(missing, ', '))
    end
end
