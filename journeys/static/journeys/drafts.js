// Drafts of journeys, kept in this browser for each user until they are saved: a session may end meanwhile.
// After a save the server names the draft in a cookie (journeys/admin.py), and it is removed here.
"use strict";

const JourneyDrafts = (() => {
  const PREFIX = "journey-draft:";
  const MOST_AGE = 30 * 24 * 3600 * 1000;

  const parse = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  };
  const cookie = (name) =>
    document.cookie.split("; ").map((one) => one.split("=")).find(([key]) => key === name)?.[1] || "";

  const removeWhere = (isOver) => {
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) {
      if (isOver(parse(localStorage.getItem(key)))) localStorage.removeItem(key);
    }
  };
  try {
    const saved = cookie("journey_saved");
    removeWhere((draft) => !draft || draft.at < Date.now() - MOST_AGE || (saved && draft.id === saved));
    if (saved) document.cookie = "journey_saved=; path=/; max-age=0; samesite=lax";
  } catch {
    // Without storage there are no drafts.
  }

  const of = (user, journey) => {
    const key = `${PREFIX}${user}:${journey}`;
    const id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return {
      id,
      /** The draft that is kept, or null. */
      read() {
        try {
          return parse(localStorage.getItem(key));
        } catch {
          return null;
        }
      },
      /** Whether the browser could keep it. */
      keep(content, revision) {
        try {
          localStorage.setItem(key, JSON.stringify({ id, at: Date.now(), revision, content }));
          return true;
        } catch {
          return false;
        }
      },
      remove() {
        try {
          localStorage.removeItem(key);
        } catch {
          // There is none.
        }
      },
    };
  };
  return { of, cookie };
})();
