// Comfort only: every page works without it.  Its texts are the page's, in the
// data- attributes of <main>.

const main = document.querySelector('main');
const text = main.dataset;
const live = document.createElement('p');
live.className = 'unseen';
live.setAttribute('role', 'status');
main.append(live);


// A button beside each password shows and hides it.

for (const input of document.querySelectorAll('input[type=password]')) {
  const button = document.createElement('button');
  const [label] = input.labels;

  const show = (visible) => {
    input.type = visible ? 'text' : 'password';
    button.textContent = visible ? text.hide : text.show;
  };

  // its name: its own text and that of the field's label
  label.id = `${input.id}-label`;
  button.id = `${input.id}-show`;
  button.setAttribute('aria-labelledby', `${button.id} ${label.id}`);
  button.type = 'button';
  button.setAttribute('aria-controls', input.id);
  button.addEventListener('click', () => {
    show(input.type === 'password');
    live.textContent = input.type === 'text' ? text.shown : text.hidden;
  });

  // A visible password would be kept by the browser as ordinary text.
  input.form.addEventListener('submit', () => show(false));

  show(false);
  input.after(button);
}


// A whole message pasted into the code's field leaves only the code.

const otp = document.querySelector('input[data-digits]');

otp?.addEventListener('paste', (event) => {
  const pasted = event.clipboardData.getData('text');
  const digits = Number(otp.dataset.digits);
  const found = pasted.match(`(?<!\\d)\\d{${digits}}(?!\\d)`)
    ?? pasted.match(`(?<!\\d)\\d(?:[\\s\\u2010-\\u2015-]?\\d){${digits - 1}}(?!\\d)`);

  if (found) {
    event.preventDefault();
    otp.value = found[0].replace(/\D/g, '');
  }
});


// A browser that can read the code from the text message (WebOTP) asks for leave
// to do so, and sends it.

if (otp?.dataset.sms && 'OTPCredential' in window) {
  const waiting = new AbortController();

  otp.form.addEventListener('submit', () => waiting.abort());

  navigator.credentials.get({ otp: { transport: ['sms'] }, signal: waiting.signal })
    .then((message) => {
      otp.value = message.code;
      otp.form.requestSubmit();
    })
    .catch(() => {});    // not allowed, no message came, or typed by hand
}


// A password that is too short, or typed twice in two ways, is said while it is
// typed, and is not sent: the next page would be without both.

const password = document.querySelector('#password');
const confirmed = document.querySelector('#confirm_password');

const note = (input) => {
  const hint = document.createElement('p');

  hint.id = `${input.id}-note`;
  hint.className = 'hint note';
  input.parentNode.after(hint);
  input.setAttribute('aria-describedby',
    `${input.getAttribute('aria-describedby') ?? ''} ${hint.id}`.trim());
  return hint;
};

if (password && confirmed) {
  const length = note(password);
  const match = note(confirmed);

  const missing = () =>
    password.minLength - [...password.value.normalize('NFC')].length;
  const differ = () => password.value.normalize('NFC')
    !== confirmed.value.normalize('NFC');

  const say = (hint, message, wrong) => {
    hint.textContent = message;
    hint.classList.toggle('wrong', wrong);
  };

  const look = (strict) => {
    const short = missing();

    say(length, short > 0 ? text.tooShort + short : text.longEnough,
      strict && short > 0);

    if (password.value === '') {
      say(length, '', false);
    }

    const other = confirmed.value !== '' && differ()
      && (strict || !password.value.startsWith(confirmed.value));

    say(match, other ? text.mismatch : '', other);
  };

  password.addEventListener('input', () => look(false));
  confirmed.addEventListener('input', () => look(false));

  password.form.addEventListener('submit', (event) => {
    if (password.value === '' || confirmed.value === '') {
      return;
    }

    const wrong = missing() > 0 ? password : differ() ? confirmed : null;

    if (wrong) {
      event.preventDefault();
      event.stopImmediatePropagation();
      look(true);
      wrong.focus();
      live.textContent = text.error
        + (wrong === password ? length : match).textContent;
    }
  });
}


// Loaded again, a page that answers a form is asked for, and not sent once more:
// that would be another attempt.

if (text.here && new URL(text.here, location).pathname === location.pathname) {
  history.replaceState(null, '', location.href);
}


// What is left until the code expires, and until it can be sent again.

const counted = (unit) => new Intl.NumberFormat(document.documentElement.lang,
  { style: 'unit', unit, unitDisplay: 'long', numberingSystem: 'latn' });

const countDown = (line, ended) => {
  const { unit, shown } = line.dataset;
  const sentence = line.textContent;
  const left = Number(line.dataset.left);
  const end = Date.now() + left * 1000;
  const length = unit === 'minute' ? 60 : 1;
  const format = counted(unit);

  if (!(left > 0)) {
    return;
  }

  const tick = () => {
    const rest = (end - Date.now()) / 1000;

    if (rest > 0) {
      line.textContent = sentence.replace(shown,
        () => format.format(Math.ceil(rest / length)));
      return;
    }

    clearInterval(timer);
    line.textContent = '';
    ended();
  };

  const timer = setInterval(tick, 1000);
  tick();
};

// What happened to the code while the page was open.

const problem = (message) => {
  const notice = document.createElement('div');
  const heading = document.createElement('h2');
  const line = document.createElement('p');

  for (const old of main.querySelectorAll('.notice')) {
    old.remove();
  }

  heading.textContent = text.problem;
  line.textContent = message;
  notice.className = 'notice notice-wrong';
  notice.setAttribute('role', 'alert');
  main.querySelector('h1').after(notice);
  notice.append(heading, line);
};

let over = false;

for (const line of document.querySelectorAll('[data-unit=minute]')) {
  countDown(line, () => {
    over = true;
    problem(text.expired);
  });
}

for (const line of document.querySelectorAll('.resend [data-unit=second]')) {
  const button = line.closest('form').querySelector('button');

  if (Number(line.dataset.left) > 0) {
    button.disabled = true;
    countDown(line, () => {
      button.disabled = false;
      live.textContent = text.canResend;
    });
  }
}


// Whether the message came back: asked now and then, at ever longer intervals.

if (text.look) {
  let pause = 5;

  const ask = async () => {
    if (document.hidden) {
      later();
      return;
    }

    const answer = await fetch(text.look,
      { headers: { Accept: 'application/json' } }).catch(() => null);
    const news = await answer?.json().catch(() => null);

    if (['undeliverable', 'code_spent'].includes(news?.code)) {
      over = true;
      problem(news.detail);
      main.querySelector('details').open = news.code === 'undeliverable';

    } else if (news?.code !== 'no_signup') {
      later();
    }
  };

  const later = () => {
    if (!over && pause <= 320) {
      setTimeout(ask, pause * 1000);
      pause *= 2;
    }
  };

  later();
}


// A form is sent once: a second press while it is under way does nothing.

for (const form of document.querySelectorAll('form')) {
  const button = form.querySelector('button:not([type=button])');
  const free = () => button.removeAttribute('aria-disabled');

  form.addEventListener('submit', (event) => {
    if (button.hasAttribute('aria-disabled')) {
      event.preventDefault();
      return;
    }

    button.setAttribute('aria-disabled', 'true');
    setTimeout(free, 15000);
  });

  // Back from the next page: it may be sent again.
  addEventListener('pageshow', free);
}


// After an error the page that answers is without both passwords.  So this one
// stays, shows what that one has, and keeps them.

const signup = document.querySelector('form.signup');

const stay = async (answer, sent) => {
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');

  document.title = page.title;
  document.body.replaceWith(page.body);

  for (const input of document.querySelectorAll('input[type=password]')) {
    input.value = sent.get(input.name) ?? '';
  }

  await import(`${import.meta.url.replace(/\?.*/, '')}?${Date.now()}`);
  document.querySelector('[autofocus]')?.focus();
};

if (text.keep && new URL(signup.action).origin === location.origin) {
  signup.addEventListener('submit', async (event) => {
    if (event.defaultPrevented) {
      return;
    }

    event.preventDefault();

    const sent = new URLSearchParams(new FormData(signup));
    const answer = await fetch(signup.action, { method: 'POST', body: sent })
      .catch(() => null);

    if (answer === null) {
      signup.submit();          // the browser says what is wrong
    } else if (answer.redirected) {
      location.assign(answer.url);
    } else {
      await stay(answer, sent);
    }
  });
}
