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


// The code can be sent again after a while: the button waits for it.

const resend = document.querySelector('form[data-resend-in]');
const seconds = Number(resend?.dataset.resendIn);

if (seconds > 0) {
  const button = resend.querySelector('button');
  const wait = resend.querySelector('.wait');
  const end = Date.now() + seconds * 1000;

  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);

    if (left > 0) {
      wait.textContent = `${text.wait} ${left}`;
      return;
    }

    clearInterval(timer);
    button.disabled = false;
    wait.textContent = '';
    live.textContent = text.canResend;
  };

  const timer = setInterval(tick, 1000);
  button.disabled = true;
  tick();
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
