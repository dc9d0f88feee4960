# SPDX-License-Identifier: Apache-2.0
"""When backups are due and which of them stay: models of the schedule and of the rules, written anew in another way than the program's."""
import dataclasses
import datetime
import zoneinfo

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
MINUTE = datetime.timedelta(minutes=1)


def name_of(at):
    return f"{at:%Y%m%dT%H%M%SZ}"


def week_of(at, starts):
    return (at.date() - datetime.timedelta(days=(at.weekday() + 1 - starts) % 7)).isoformat()


def kept(times, daily=0, weekly=0, monthly=0, week_starts=1, last=0, within=None, zone=UTC):
    """the times that the rules keep, by going through all periods; @times in the order in which the backups were made"""
    stay = {times[-1], *times[len(times) - min(last, len(times)):]}
    if within:
        stay |= {at for at in times if at > max(times) - within}
    for count, period in ((daily, lambda at: at.date().isoformat()), (weekly, lambda at: week_of(at, week_starts)),
                          (monthly, lambda at: f"{at:%Y-%m}")):
        first = {}
        for at in times:
            first.setdefault(period(at.astimezone(zone)), at)
        stay |= {first[p] for p in sorted(first)[len(first) - min(count, len(first)):]}
    return stay


def moment_of(day, at, zone):
    """@at, a time of the clock on the wall, on @day: once, also where clocks are set"""
    wall = datetime.datetime.combine(day, at)
    while wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        wall += MINUTE  # the hour that is left out: at its end
    return wall.replace(tzinfo=zone).astimezone(UTC)


@dataclasses.dataclass
class Backup:
    at: datetime.datetime
    name: str
    run: int
    held_until: datetime.datetime = None


class Directory:
    """What is in the directory of one job, and why"""

    def __init__(self, at, rules, days=range(7), zone="Europe/Berlin", delay=datetime.timedelta(hours=20), trash=3 * DAY):
        """@at: when it is due on the days of the week (0: Monday) in @days; @rules: arguments of kept()"""
        self.zone = zoneinfo.ZoneInfo(zone)
        self.at, self.days, self.rules, self.delay, self.trash_time = at, set(days), dict(rules), delay, trash
        self.backups = []  # in the order in which they were made
        self.trash = {}  # {name: (backup, until)}
        self.in_force, self.waits_since = dict(rules), None
        self.suspended = False
        self.doubted_since = None  # the clock has jumped

    def next_due(self, after):
        day = after.astimezone(self.zone).date() - DAY
        while True:
            if day.weekday() in self.days and moment_of(day, self.at, self.zone) > after:
                return moment_of(day, self.at, self.zone)
            day += DAY

    def last_due(self, by):
        at = self.next_due(by - 9 * DAY)
        while self.next_due(at) <= by:
            at = self.next_due(at)
        return at

    @property
    def names(self):
        return sorted(b.name for b in self.backups)

    @property
    def kept(self):
        """by the rules, held or not"""
        stay = kept([b.at for b in self.backups], zone=self.zone, **self.rules)
        return [b for b in self.backups if b.at in stay]

    def doomed(self, now):
        return [b for b in self.backups if b not in self.kept and not (b.held_until and b.held_until > now)]

    def has_to_wait(self, doomed):
        return self.rules != self.in_force or (len(doomed) > 3 and 5 * len(doomed) > len(self.backups))

    def prune(self, now, confirmed=False):
        """as after a run; returns what went"""
        doomed = self.doomed(now)
        self.suspended = bool(doomed) and (self.doubted_since or max(b.at for b in self.backups) > now + 5 * MINUTE)
        if self.suspended:
            return []
        if doomed and self.has_to_wait(doomed) and not confirmed:
            self.waits_since = self.waits_since or now
            if now < self.waits_since + self.delay:
                return []
        for one in doomed:
            self.remove(one, now)
        self.in_force, self.waits_since = dict(self.rules), None
        return doomed

    def remove(self, one, now):
        self.backups.remove(one)
        self.trash[one.name] = (one, now + self.trash_time)

    def undelete(self, name):
        one, _ = self.trash.pop(name)
        self.backups.insert(sum(other.run < one.run for other in self.backups), one)

    def made(self, at, name, run, now):
        self.backups.append(Backup(at, name, run))
        return self.prune(now)

    def stored(self, now):
        """what the store has as well: it was removed, and its time in the trash is not over"""
        return sorted(name for name, (_, until) in self.trash.items() if until > (self.doubted_since or now))
